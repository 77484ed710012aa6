"""Values of site files as shell words, and the scripts beside this file."""

from __future__ import annotations

import re
from pathlib import Path

from ci.errors import SiteValueError

SCRIPTS = Path(__file__).resolve().parent / "scripts"
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def script(name: str) -> str:
    """Return a script's text as it stands in the checkout."""
    return (SCRIPTS / name).read_text(encoding="utf-8")


def expandable(text: str, key: str) -> str:
    """Return the inside of double quotes that gives ``text`` with its variables, and nothing else, expanded.

    A variable that is not set stops the shell, rather than make a path at the root of a file system.

    Raises:
        SiteValueError: it holds a line break, which no path of a pipeline may.
    """
    if any(ord(character) < 32 for character in text):
        raise SiteValueError(f"{key}: {text!r} holds a control character; write it as one plain line.")
    if text == "~" or text.startswith("~/"):
        text = "$HOME" + text[1:]
    out, at = [], 0
    for found in _VARIABLE.finditer(text):
        out.append(_quoted(text[at : found.start()]))
        out.append("${" + (found[1] or found[2]) + ":?}")
        at = found.end()
    return "".join([*out, _quoted(text[at:])])


def _quoted(text: str) -> str:
    return re.sub(r'([\\"`$])', r"\\\1", text)
