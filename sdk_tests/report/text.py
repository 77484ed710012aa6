"""Make the output of components safe to show: on a terminal, in XML, and on a page.

Output tails and evidence lines come from the programs under test. They may contain escape sequences that control a
terminal, characters that XML forbids, unpaired surrogates, and direction marks that make a line look like another one.
"""

from __future__ import annotations

import re

TAIL = 16_384
"""Characters of an output tail in a report: 1,000 failures stay below the 30 MB of JUnit XML that GitLab accepts."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"  # control sequences: colours, cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\)"  # strings to the terminal, only if they are terminated
    r"|\x1b[ -/]{0,8}[0-~]"  # the other, short sequences
    r"|\x9b[0-?]{0,64}[ -/]{0,8}[@-~]"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Return the text with only printable characters, newlines and tabs, all of them legal in XML 1.0.

    Escape sequences and control characters are removed; unpaired surrogates and direction marks become ``\\uXXXX``.
    """
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        text = _DIRECTION.sub(lambda mark: f"\\u{ord(mark.group()):04x}", text)
    text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, limit: int = 400) -> str:
    """Return the text on one line; a text longer than ``limit`` characters is cut and ends in `` ...``."""
    flat = _SPACE.sub(" ", clean(text)).strip()
    return flat if len(flat) <= limit else flat[: limit - 4].rstrip() + " ..."


def tail(text: str | None, limit: int = TAIL) -> str:
    """Return the cleaned end of an output; if it was cut, the first line states how many characters are missing."""
    if not text:
        return ""
    shown = clean(text).strip("\n")
    if len(shown) <= limit:
        return shown
    return f"[the first {len(shown) - limit:,} characters are not shown]\n{shown[-limit:]}"


def fit(text: str, encoding: str | None) -> str:
    """Return the text with escapes for all characters that the encoding lacks, so that printing it cannot fail."""
    name = encoding or "ascii"
    try:
        return text.encode(name, "backslashreplace").decode(name)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def time_span(seconds: float) -> str:
    """Write a duration for people: ``8.25 s``, ``4 min 05 s``, ``2 h 10 min``."""
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
