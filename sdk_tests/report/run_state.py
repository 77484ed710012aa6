"""The state of a run in progress, for the live display and the plain progress lines."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sdk_tests.report.view import STATES

PHASES = {
    "submitted": "submitted",
    "queued": "queued",
    "started": "running",
    "finished": "being judged",
    "retry": "again",
    "relaunch": "again",
}
"""Event of a case → the phase that is displayed."""


@dataclass
class RunState:
    """The state of the run so far; instants are times of the progress clock, in seconds.

    total, done: cases that run. hidden: records of cases that do not run.
    """

    started: float
    total: int = 0
    done: int = 0
    hidden: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    active: dict[str, tuple[str, float]] = field(default_factory=dict)
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    note: str = ""

    def counts(self) -> dict[str, int]:
        outcomes = list(self.outcomes.values())
        return {state: outcomes.count(state) for state in STATES if state in outcomes}

    def phases(self) -> dict[str, int]:
        phases = [phase for phase, _ in self.active.values()]
        return {phase: phases.count(phase) for phase in dict.fromkeys(PHASES.values()) if phase in phases}
