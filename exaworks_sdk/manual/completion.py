"""Scripts with which bash, zsh and fish complete commands and options; click provides them."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from exaworks_sdk.manual.commands import PROGRAM

VARIABLE = f"_{PROGRAM.upper()}_COMPLETE"
SHELLS = {
    "bash": f"share/bash-completion/completions/{PROGRAM}",
    "zsh": f"share/zsh/site-functions/_{PROGRAM}",
    "fish": f"share/fish/vendor_completions.d/{PROGRAM}.fish",
}
"""Each shell, and where below an installation's prefix it looks for the script of a command."""


def completion_files() -> dict[str, str]:
    """Return the script of each shell, by its path below the prefix."""
    return {path: script(shell) for shell, path in SHELLS.items()}


def script(shell: str) -> str:
    """Return the script of a shell. It asks ``exaworks`` itself, so it is the same for every version."""
    complete = get_completion_class(shell)
    assert complete is not None, shell
    writer = complete(click.Group(PROGRAM), {}, PROGRAM, VARIABLE)
    return str(writer.source_template % writer.source_vars()).lstrip("\n")
