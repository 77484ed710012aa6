"""What is known of a run while it goes on, for the live display and the plain progress lines."""

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
}
"""Event of a case → the phase that is displayed."""


@dataclass
class RunState:
    """What is known of the run so far; instants are of the progress's own clock."""

    began: float
    total: int = 0
    done: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    active: dict[str, tuple[str, float]] = field(default_factory=dict)
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=5))
    note: str = ""

    def counts(self) -> dict[str, int]:
        found = list(self.outcomes.values())
        return {state: found.count(state) for state in STATES if state in found}

    def phases(self) -> dict[str, int]:
        found = [phase for phase, _ in self.active.values()]
        return {phase: found.count(phase) for phase in dict.fromkeys(PHASES.values()) if phase in found}
