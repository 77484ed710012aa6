"""Expand the node lists of Slurm, LSF and Flux: ``n[1-3,7],login1`` stands for five names."""

from __future__ import annotations

import itertools
import math
import re

_NO_NODES = ("", "(null)", "None", "None assigned", "n/a", "N/A")
MOST = 100_000
"""Names that a list may stand for; a longer one is garbage, or of no use to a report."""
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\],]+)|(,)")


def expand(text: str) -> tuple[str, ...]:
    """Return the node names in order.

    A pair of brackets contains numbers and ranges, zero-padded as written; one name may contain several pairs. A text
    that does not follow this grammar is returned unchanged, because a report with some name is better than without.
    """
    text = text.strip()
    if text in _NO_NODES:
        return ()
    names: list[str] = []
    parts: list[list[str]] = []
    end = 0
    if len(text) > 1_000_000:
        return (text[:200],)
    for piece in _PIECE.finditer(text):
        if piece.start() != end:
            return (text[:200],)
        end = piece.end()
        ranges, plain, comma = piece.groups()
        if math.prod(map(len, parts)) + len(names) > MOST:
            return (text[:200],)
        if comma:
            names += map("".join, itertools.product(*parts))
            parts = []
        elif plain is not None:
            parts.append([plain])
        else:
            numbers = _numbers(ranges)
            if numbers is None:
                return (text[:200],)
            parts.append(numbers)
    if end != len(text) or math.prod(map(len, parts)) + len(names) > MOST:
        return (text[:200],)
    return tuple(names) + tuple(map("".join, itertools.product(*parts)))


def _numbers(text: str) -> list[str] | None:
    numbers: list[str] = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()) or max(len(low), len(high)) > 18:
            return None
        if dash and not 0 <= int(high) - int(low) < MOST - len(numbers):
            return None
        width = len(low)
        numbers += [str(number).zfill(width) for number in range(int(low), int(high or low) + 1)]
    return numbers
