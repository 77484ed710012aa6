"""A scheduler of the system that answers, with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from sdk_tests.schedulers import Probe, SchedulerKind


@dataclass(frozen=True)
class AvailableScheduler:
    """A scheduler that answers."""

    kind: SchedulerKind
    probe: Probe
    testbed: str | None = None
    """The testbed it is one of, which this run brought up or in whose environment it is."""
    inside: bool = False
    """Whether the harness sits in an allocation of it: then only what shares an allocation is run, right here."""
    outer: AvailableScheduler | None = None
    """The scheduler whose allocations it is started in, where it is nested."""

    @property
    def outermost(self) -> AvailableScheduler:
        """The one that grants allocations: itself, unless it is nested."""
        return self.outer or self
