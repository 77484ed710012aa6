"""How often a case passed: its passes among the runs that planned it, with what the others were.

Every planned run counts, also one in which the case was missing, skipped, or not judged because of the site. Only a run
that is still open is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collector.outcomes import ORDER, OUTCOME_NAMES, PASS


def reliability(outcomes: str) -> dict[str, Any]:
    """Return ``passed``, ``planned``, and ``others``: the number of each other outcome by its name, the worst first.

    Characters that are no outcome stand for runs that did not plan the case, or that may still report it.
    """
    counts = {char: outcomes.count(char) for char in ORDER if char in outcomes}
    others = {OUTCOME_NAMES[char]: number for char, number in counts.items() if char != PASS}
    return {"passed": counts.get(PASS, 0), "planned": sum(counts.values()), "others": others}


def words(facts: Mapping[str, Any]) -> str:
    """Write a reliability as text, such as ``pass 14 of 25, infra 11``."""
    others = "".join(f", {name} {number}" for name, number in facts["others"].items())
    return f"pass {facts['passed']} of {facts['planned']}{others}"


def since_pass(history: str | None) -> dict[str, int] | None:
    """Count the outcomes after the newest pass in a history, by name, the worst first; None if it has no pass."""
    _, passed, after = (history or "").rpartition(PASS)
    if not passed:
        return None
    return {OUTCOME_NAMES[char]: after.count(char) for char in ORDER if char in after}
