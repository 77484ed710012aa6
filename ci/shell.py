"""Values of site files in shell code, and the shell snippets in ``scripts``."""

from __future__ import annotations

import re
from pathlib import Path

from ci.errors import SiteValueError

SCRIPTS = Path(__file__).resolve().parent / "scripts"
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def script(name: str) -> str:
    """Return the text of a shell snippet."""
    return (SCRIPTS / name).read_text(encoding="utf-8")


def expandable(text: str, key: str) -> str:
    """Return ``text`` escaped for use in double quotes, so that the shell expands only its variables.

    A variable that is not set stops the shell, so that no path at the root of a file system results.

    Raises:
        SiteValueError: the text has a control character, such as a line break.
    """
    if any(ord(character) < 32 for character in text):
        raise SiteValueError(f"{key}: {text!r} contains a control character. Write it as one plain line.")
    if text == "~" or text.startswith("~/"):
        text = "$HOME" + text[1:]
    parts, start = [], 0
    for match in _VARIABLE.finditer(text):
        parts.append(_escaped(text[start : match.start()]))
        parts.append("${" + (match[1] or match[2]) + ":?}")
        start = match.end()
    return "".join([*parts, _escaped(text[start:])])


def _escaped(text: str) -> str:
    return re.sub(r'([\\"`$])', r"\\\1", text)
