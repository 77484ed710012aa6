"""What a cell came to over time: one step a run that says something about it, from the oldest to the newest.

Whoever folds all runs of a system in order gets the same as who takes one step a time as they come, so that the usual
case (a newer run) costs one step, and everything else is told anew from the beginning.
"""

from __future__ import annotations

from typing import NamedTuple

from collector.outcomes import PASS

KEPT = 32
"""How many outcomes a cell's history holds."""

DECISIVE = "pfe"
"""Outcomes that tell whether the thing works: pass, fail, error."""

FLAKY_TURNS = 2
"""So many turns on the same stack within the history, there and back, make a cell flaky."""

TURNED, STEADY = "!", "-"


class Say(NamedTuple):
    """One run's word on a cell."""

    run: int
    started: int
    outcome: str
    stack: str | None


class Streak(NamedTuple):
    """The columns of ``cells`` that tell its history; before its first word all are None."""

    last_run: int | None = None
    last_started: int | None = None
    last_outcome: str | None = None
    history: str | None = None
    turns: str | None = None
    since_run: int | None = None
    since_started: int | None = None
    pass_run: int | None = None
    pass_started: int | None = None
    fail_run: int | None = None
    fail_started: int | None = None
    decided: str | None = None
    decided_stack: str | None = None

    def then(self, say: Say) -> Streak:
        """Return the streak after one more word, newer than all before."""
        run, started, outcome, stack = say
        decisive, passed, same = outcome in DECISIVE, outcome == PASS, outcome == self.last_outcome
        decided, decided_stack = self.decided, self.decided_stack
        turned = decisive and decided is not None and decided_stack == stack and (decided == PASS) != passed
        if decisive:
            decided, decided_stack = outcome, stack
        fails = decisive and not passed
        first_fail = fails and self.fail_run is None
        return Streak(
            last_run=run,
            last_started=started,
            last_outcome=outcome,
            history=((self.history or "") + outcome)[-KEPT:],
            turns=((self.turns or "") + (TURNED if turned else STEADY))[-KEPT:],
            since_run=self.since_run if same else run,
            since_started=self.since_started if same else started,
            pass_run=run if passed else self.pass_run,
            pass_started=started if passed else self.pass_started,
            fail_run=None if passed else run if first_fail else self.fail_run,
            fail_started=None if passed else started if first_fail else self.fail_started,
            decided=decided,
            decided_stack=decided_stack,
        )


def is_flaky(turns: str | None) -> bool:
    """Tell whether a cell changes its mind although nothing under test changed."""
    return turns is not None and turns.count(TURNED) >= FLAKY_TURNS


def flake_score(history: str | None, turns: str | None) -> float:
    """Return the share of decisive outcomes that turned on the same stack, from 0 to 1."""
    decisive = sum(outcome in DECISIVE for outcome in history or "")
    return 0.0 if decisive < 2 else round((turns or "").count(TURNED) / (decisive - 1), 3)
