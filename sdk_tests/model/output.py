"""The line of a program's output that states the reason of a failure. Standard library only, as the agent uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 500
"""Characters of a line that are kept."""

_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)\b(?::|$)")
_ERROR = re.compile(
    r"\berror\b|\bfatal\b|invalid|illegal|unknown|unrecogni[sz]ed|not permitted|denied|refused|failed|failure|cannot|"
    r"can't|could not|unable|no such|not found|abort",
    re.IGNORECASE,
)
_USAGE = re.compile(r"\s*(?:usage|syntax|synopsis)\b\s*:?", re.IGNORECASE)
_HINT = re.compile(r"\s*(?:(?:try|see|use|run|type|for)\b.*(?:--help|-h\b|\bhelp\b|\bman\b|manual))", re.IGNORECASE)


def telling_line(text: str) -> str:
    """Return the line of output that says what went wrong: an exception, else an error, else the last line.

    The last line alone is often no reason: a program that rejects an option prints the reason first and its usage last.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reasons = [line.strip() for line in _without_usage(text.splitlines()) if line.strip()]
    for pattern in (_EXCEPTION, _ERROR):
        matching = [line for line in reasons if pattern.search(line)]
        if matching:
            return matching[-1][:LONGEST]
    return (reasons or lines[:1])[-1][:LONGEST] if lines else ""


def _without_usage(lines: list[str]) -> Iterator[str]:
    """Leave out a usage text, with its indented lines and its options, and lines that only point to the help."""
    usage = False
    for line in lines:
        if _USAGE.match(line):
            usage = True
        elif usage and (not line.strip() or line[0].isspace() or line[0] in "-["):
            continue
        elif not _HINT.match(line):
            usage = False
            yield line
