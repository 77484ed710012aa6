"""Outcomes as single characters, and which of several is the one to show."""

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

WORD = {char: outcome.value for outcome, char in CHAR.items()} | {MISSING: "missing"}

ORDER = "fei.Xpxs"
"""From what is shown first to what is shown last. A pass outweighs known failures and skips, never anything else."""


def worst(outcomes: str) -> str:
    """Return the one character that stands for several, so that a group without any pass never reads as one."""
    return min(outcomes, key=ORDER.index)


def counts(outcomes: str) -> dict[str, int]:
    """Count each outcome by its word, worst first, leaving out those that do not occur."""
    return {WORD[char]: outcomes.count(char) for char in ORDER if char in outcomes}
