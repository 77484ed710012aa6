"""Node lists as Slurm (and LSF's and Flux's tools) shorten them: ``n[1-3,7],login1`` stands for five names."""

from __future__ import annotations

import itertools
import re

_NOBODY = ("", "(null)", "None", "None assigned", "n/a", "N/A")
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)|(,)")


def expand(text: str) -> tuple[str, ...]:
    """Return the names in order.

    A bracket holds numbers and ranges, zero-padded as written, and there may be several in one name. What is not of
    this grammar is returned as it stands, since a name in a report is better than none.
    """
    text = text.strip()
    if text in _NOBODY:
        return ()
    names: list[str] = []
    parts: list[list[str]] = []
    end = 0
    for piece in _PIECE.finditer(text):
        if piece.start() != end:
            return (text,)
        end = piece.end()
        ranges, plain, comma = piece.groups()
        if comma:
            names += map("".join, itertools.product(*parts))
            parts = []
        elif plain is not None:
            parts.append([plain])
        else:
            numbers = _numbers(ranges)
            if numbers is None:
                return (text,)
            parts.append(numbers)
    if end != len(text):
        return (text,)
    return tuple(names) + tuple(map("".join, itertools.product(*parts)))


def _numbers(text: str) -> list[str] | None:
    found: list[str] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(high) < int(low)):
            return None
        width = len(low)
        found += [str(number).zfill(width) for number in range(int(low), int(high or low) + 1)]
    return found
