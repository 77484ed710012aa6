"""A scheduler of the system that answers, with what the harness knows about it."""

from __future__ import annotations

from dataclasses import dataclass

from sdk_tests.schedulers import Probe, SchedulerKind


@dataclass(frozen=True)
class AvailableScheduler:
    """A scheduler that answers."""

    kind: SchedulerKind
    probe: Probe
    testbed: str | None = None
    """The testbed that provides it: one that this run started, or one whose environment the harness was started in."""
    inside: bool = False
    """Whether the harness itself runs in an allocation of it: then only ``allocation`` cases run, inside that one."""
    allocation_nodes: tuple[str, ...] = ()
    """The nodes of that allocation, as the scheduler reports them."""
    enter: tuple[str, ...] = ()
    """The words before a command that runs it in that allocation, for a harness that is on none of its nodes."""
    outer: AvailableScheduler | None = None
    """The scheduler in whose allocations it is started, if it is nested."""

    @property
    def outermost(self) -> AvailableScheduler:
        """The scheduler that grants the allocations: itself, unless it is nested."""
        return self.outer or self
