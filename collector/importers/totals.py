"""Compare the totals that a JUnit suite declares with the test cases that were read from it.

Programs count differently, for example a test case with two failures. So each test case adds a range to each total: the
least and the most that a program may have counted for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from collector.errors import Problem

TOTALS = ("tests", "failures", "errors", "skipped", "disabled", "flakes")

_TOTAL_OF = {"failure": "failures", "error": "errors", "skipped": "skipped", "disabled": "disabled"}
_NUMBER = re.compile(r"\d{1,9}")


@dataclass
class Tally:
    """The least and the most that may have been counted for each total."""

    low: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    high: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))

    def add(self, total: str, low: int, high: int) -> None:
        """Add a range to one total."""
        self.low[total] += low
        self.high[total] += high

    def include(self, other: Tally) -> None:
        """Add all ranges of another tally."""
        for total in TOTALS:
            self.add(total, other.low[total], other.high[total])

    def optional(self) -> None:
        """Accept also that nothing was counted."""
        self.low = dict.fromkeys(TOTALS, 0)


def count_elements(tally: Tally, tags: Iterable[str]) -> bool:
    """Count the results that the children of a test case state. Return whether there are any."""
    counted = [_TOTAL_OF[tag] for tag in tags if tag in _TOTAL_OF]
    for total in set(counted):
        tally.add(total, int(len(set(counted)) == 1), counted.count(total))
    return bool(counted)


def declared_total(element: Element, total: str, where: str) -> int | None:
    """Return a declared total; None if the element has none.

    Raises:
        Problem: it is not a number.
    """
    text = (element.get(total) or "").strip().replace(",", "")
    if not text:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise Problem(422, "totals", f"{where} declares {total}={text[:40]!r}, which is not a number.", total)
    return int(text)


def check_totals(element: Element, where: str, tallies: Iterable[Tally], hint: str) -> None:
    """Check the declared totals of a suite. ``tallies``: what the program may have counted, each as a whole.

    Raises:
        Problem: a total differs; the message names both numbers and the suite.
    """
    accepted = list(tallies)
    for total in TOTALS:
        declared = declared_total(element, total, where)
        if declared is None:
            continue
        ranges = [(tally.low[total], tally.high[total] + _also_skipped(element, total, tally)) for tally in accepted]
        if any(low <= declared <= high for low, high in ranges):
            continue
        low, high = ranges[0]
        read = f"{low}" if low == high else f"{low} to {high}"
        detail = (
            f"{where} declares {total}={declared}, but the file contains {read}. "
            f"It is incomplete or was changed: write it again.{hint}"
        )
        raise Problem(422, "totals", detail, total)


def _also_skipped(element: Element, total: str, tally: Tally) -> int:
    """Return how many disabled tests may be counted as skipped: all, if the suite does not count them on their own."""
    return tally.high["disabled"] if total == "skipped" and element.get("disabled") is None else 0
