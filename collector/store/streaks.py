"""The history of a cell: one step for each run that has an outcome of it, from the oldest run to the newest.

A history that is extended run by run equals one that is computed from all runs. So the usual case, a newer run, costs
one step; ``collector.store.late`` handles changes in the past.
"""

from __future__ import annotations

from typing import NamedTuple

from collector.outcomes import PASS

KEPT = 32
"""The number of outcomes in the history of a cell."""

DECISIVE = "pfe"
"""The outcomes that show whether the component works: pass, fail, error."""

FLAKY_TURNS = 2
"""A cell with at least this many turns in its history is flaky.

A turn is a change between pass and fail or error on the same stack. Two turns are one change and one change back.
"""

TURNED, STEADY = "!", "-"


class Observation(NamedTuple):
    """The outcome of a cell in one run."""

    run: int
    started: int
    outcome: str
    stack: str | None


class Streak(NamedTuple):
    """The columns of ``cells`` that hold its history; all are None before the first outcome."""

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

    def extended(self, observation: Observation) -> Streak:
        """Return the history with one more observation, which is newer than all before."""
        run, started, outcome, stack = observation
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
    """Return whether the outcome of a cell changes although nothing under test changed."""
    return turns is not None and turns.count(TURNED) >= FLAKY_TURNS


def flake_score(history: str | None, turns: str | None) -> float:
    """Return the share of decisive outcomes that turned on the same stack, from 0 to 1."""
    decisive = sum(outcome in DECISIVE for outcome in history or "")
    return 0.0 if decisive < 2 else round((turns or "").count(TURNED) / (decisive - 1), 3)
