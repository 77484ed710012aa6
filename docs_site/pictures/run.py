"""The real run that the pictures show."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from docs_site.errors import DocsError
from docs_site.pictures.terminal import HEIGHT, WIDTH, screen_of

ARGUMENTS = ("validate", "--tier", "smoke", "--no-upload")


@dataclass(frozen=True)
class Run:
    """A run: the command as a user types it, what the terminal showed, and the path of the report."""

    command: str
    screen: Text
    report: Path


def validate(checkout: Path, folder: Path) -> Run:
    """Run the smoke tier on this machine, in a terminal.

    The run is in ``folder``, and uses the deployments of the checkout. Its path is shown as ``.exaworks``, as a user
    sees it.

    Raises:
        DocsError: the run left no report; the message is the end of its output.
    """
    home = folder / ".exaworks"
    home.mkdir()
    (home / "deployments").symlink_to(checkout / ".exaworks" / "deployments")
    command = [sys.executable, "-I", "-m", "exaworks_sdk", *ARGUMENTS]
    environ = {
        **os.environ,
        "EXAWORKS_HOME": str(home),
        "TERM": "xterm-256color",
        "COLUMNS": str(WIDTH),
        "LINES": str(HEIGHT),
    }
    output = _in_terminal(command, folder, environ)
    reports = sorted((home / "runs").glob("*/report.html"))
    if not reports:
        raise DocsError(f"{' '.join(command)} left no report:\n{output[-2000:]}")
    shown = output.replace(f"{folder}/", "")
    return Run(f"./exaworks {' '.join(ARGUMENTS)}", screen_of(shown), reports[-1])


def _in_terminal(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    """Run a command with a pseudo-terminal as its output, and return all that it wrote."""
    reader, writer = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, close_fds=True
    ):
        os.close(writer)
        parts = []
        while True:
            try:
                part = os.read(reader, 65536)
            except OSError:  # the terminal was closed by its last program
                break
            if not part:
                break
            parts.append(part)
    os.close(reader)
    return b"".join(parts).decode(errors="replace")
