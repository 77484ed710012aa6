"""What a figure does over time: a change that stays is told from scatter and from a single odd value.

The newest 40 values are cut where two medians fit them best: one for what was before, one for what came since. It is a
change where both what came since and the newest three lie, by their medians, on the same side of what was usual and
farther from it than four times its scatter (the median absolute deviation, scaled to compare with a standard deviation)
and than five hundredths of it. So one odd value alone is never a change, and one that went away is none any more; what
lasts longer than the 40 values is what is usual. Fewer than eight values before, or three since, say nothing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

KEPT = 40
FEWEST = 8
LAST = 3
SPREADS = 4.0
SHARE = 0.05

WORSE, BETTER = "worse", "better"
DIRECTIONS = ("lower", "higher")


class Trend(NamedTuple):
    """``level`` is what is usual, ``recent`` what it is now; ``place`` is that of the first value since a change."""

    level: float
    spread: float
    recent: float
    change: str | None = None
    place: int | None = None


def judge(values: Sequence[float], better: str) -> Trend | None:
    """Return what values come to, the oldest first; of many, the newest ``KEPT`` count. None where there is none."""
    offset = max(len(values) - KEPT, 0)
    trend = _judge(values[offset:], better)
    return trend if trend is None or trend.place is None else trend._replace(place=trend.place + offset)


def _judge(values: Sequence[float], better: str) -> Trend | None:
    if not values:
        return None
    level = _median(values)
    steady = Trend(level, _spread(values, level), _median(values[-LAST:]))
    place = _best_cut(values)
    if place is None:
        return steady
    before, since = values[:place], values[place:]
    level, now, newest = _median(before), _median(since), steady.recent
    spread = _spread(before, level)
    allowed = max(SPREADS * spread, SHARE * abs(level))
    rose = now - level > allowed and newest - level > allowed
    fell = level - now > allowed and level - newest > allowed
    if not rose and not fell:
        return steady
    later = _judge(since, better)
    if later is not None and later.place is not None:
        return later._replace(place=place + later.place)
    return Trend(level, spread, now, WORSE if rose == (better == "lower") else BETTER, place)


def _best_cut(values: Sequence[float]) -> int | None:
    """Return where two medians leave the least to explain; None where there are too few values to cut."""
    if len(values) < FEWEST + LAST:
        return None
    left, right = _costs(values), _costs(values[::-1])
    return min(range(FEWEST, len(values) - LAST + 1), key=lambda cut: left[cut] + right[len(values) - cut])


def _costs(values: Sequence[float]) -> list[float]:
    """Return the sum of distances from their median for the first none, one, two, … of the values."""
    ordered: list[float] = []
    costs = [0.0]
    for value in values:
        insort(ordered, value)
        half = len(ordered) // 2
        costs.append(sum(ordered[-half:]) - sum(ordered[:half]) if half else 0.0)
    return costs


def _spread(values: Sequence[float], level: float) -> float:
    return 1.4826 * _median([abs(value - level) for value in values])


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
