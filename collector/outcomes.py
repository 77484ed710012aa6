"""Outcomes as single characters, and which of several outcomes is displayed."""

from __future__ import annotations

from dashboard_client.schema import Outcome

PASS = "p"  # noqa: S105
MISSING = "."

CHAR = {
    Outcome.PASS: PASS,
    Outcome.FAIL: "f",
    Outcome.ERROR: "e",
    Outcome.INFRA: "i",
    Outcome.SKIP: "s",
    Outcome.XFAIL: "x",
    Outcome.XPASS: "X",
}

PASSED = PASS + CHAR[Outcome.XPASS]

OUTCOME_NAMES = {char: outcome.value for outcome, char in CHAR.items()} | {MISSING: "missing"}

ORDER = "fei.Xpxs"
"""The outcomes, the one that is displayed first in front. A pass comes before known failures and skips only."""


def worst(outcomes: str) -> str:
    """Return the outcome that is displayed for a group; a group without a pass is never displayed as a pass."""
    return min(outcomes, key=ORDER.index)


def counts(outcomes: str) -> dict[str, int]:
    """Count each outcome that occurs, by its name, the worst first."""
    return {OUTCOME_NAMES[char]: outcomes.count(char) for char in ORDER if char in outcomes}
