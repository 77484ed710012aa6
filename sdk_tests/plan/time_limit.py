"""The longest that a plan may take, which the manifest declares: afterwards, a case that did not report is missing.

It is a bound, not a forecast: every case waits in the queue as long as the site accepts, needs its whole limit, and is
repeated as often as is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation
from site_configs.schema import seconds

TEARDOWN = 120.0
"""Seconds for the end of an attempt: its result may appear late, and its jobs are cancelled."""


def time_limit(preparation: Preparation, planned: Iterable[Cell]) -> str:
    """Return the longest that these cells may take, as ``HH:MM:SS``; at most the age from which results are stale.

    On each scheduler, the cases run one after another, as many at a time as the site allows jobs. Every case counts
    once more than its retries, because a non-pass may be repeated alone.

    A case waits only while more than ``slots - jobs`` of the ``slots`` jobs that the site allows are used. With the
    most jobs that a case uses, that is the number that is certainly used while anything waits.
    """
    attempts = 2 + preparation.system.limits.infra_retries
    of_schedulers: dict[str, list[tuple[int, float]]] = {}
    for cell in planned:
        if cell.judgement is None:
            of_schedulers.setdefault(cell.scheduler, []).append(_jobs_and_duration(preparation, cell))
    total = 0.0
    for name, cells in of_schedulers.items():
        slots = _slots(preparation, name)
        used = slots - min(slots, max(jobs for jobs, _ in cells)) + 1
        total += attempts * sum(min(1.0, jobs / used) * duration for jobs, duration in cells)
        total += max(duration for _, duration in cells)
    longest = math.ceil(max(total, TEARDOWN))
    if preparation.system.stale_after is not None:
        longest = min(longest, int(seconds(preparation.system.stale_after)))
    return f"{longest // 3600:02d}:{longest // 60 % 60:02d}:{longest % 60:02d}"


def _jobs_and_duration(preparation: Preparation, cell: Cell) -> tuple[int, float]:
    """Return the number of jobs that an attempt uses at once, and the seconds that it may take at most."""
    case = cell.case
    wait = float(seconds(preparation.system.limits.queue_wait)) if _queues(preparation, cell.scheduler) else 0.0
    running = case.walltime if case.total is None else case.total
    running = (running + (case.fixture.start if case.fixture is not None else 0.0)) * preparation.slowdown
    return max(1, case.jobs), wait + running + TEARDOWN


def _slots(preparation: Preparation, scheduler: str) -> int:
    """Return how many jobs the site allows at once; cases without jobs run one after another."""
    spec = preparation.schedulers[scheduler].outermost.kind.spec
    return max(1, spec.max_jobs) if _queues(preparation, scheduler) else 1


def _queues(preparation: Preparation, scheduler: str) -> bool:
    available = preparation.schedulers[scheduler]
    return available.outermost.kind.batch and not available.inside
