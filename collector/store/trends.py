"""Trends of a figure: distinguish a lasting change from scatter and from a single odd value.

The newest 40 values are cut where two medians, one before and one after the cut, fit them best. It is a change if two
medians lie on the same side of the median before the cut: the median after the cut, and that of the newest three
values. Both must differ from the median before the cut by more than four times its scatter (1.4826 times the median
absolute deviation), and by more than 5 % of it. So a single odd value is never a change, and a change that disappears
is no longer one. A level that lasts longer than the 40 values is the usual one. At least eight values before the cut
and three after it are needed.
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
    """The trend of a series.

    ``level``: the usual value. ``spread``: its scatter. ``recent``: the value now. ``place``: the index of the first
    value after a change.
    """

    level: float
    spread: float
    recent: float
    change: str | None = None
    place: int | None = None


def judge(values: Sequence[float], better: str) -> Trend | None:
    """Return the trend of values, the oldest first; None without values. Only the newest ``KEPT`` values count."""
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
    """Return the cut that minimises the distances from the two medians; None if there are too few values."""
    if len(values) < FEWEST + LAST:
        return None
    left, right = _costs(values), _costs(values[::-1])
    return min(range(FEWEST, len(values) - LAST + 1), key=lambda cut: left[cut] + right[len(values) - cut])


def _costs(values: Sequence[float]) -> list[float]:
    """Return the sums of the distances from the median for the first 0, 1, 2, … values."""
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
