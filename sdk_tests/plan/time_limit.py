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
    """
    attempts = 2 + preparation.system.limits.infra_retries
    of_schedulers: dict[str, list[tuple[float, float]]] = {}
    for cell in planned:
        if cell.judgement is None:
            share, duration = _share_and_duration(preparation, cell)
            of_schedulers.setdefault(cell.scheduler, []).append((share, duration))
    total = sum(
        attempts * sum(share * duration for share, duration in cells) + max(duration for _, duration in cells)
        for cells in of_schedulers.values()
    )
    longest = math.ceil(max(total, TEARDOWN))
    if preparation.system.stale_after is not None:
        longest = min(longest, int(seconds(preparation.system.stale_after)))
    return f"{longest // 3600:02d}:{longest // 60 % 60:02d}:{longest % 60:02d}"


def _share_and_duration(preparation: Preparation, cell: Cell) -> tuple[float, float]:
    """Return the share of its scheduler's jobs that an attempt uses, and the seconds that it may take at most."""
    case, scheduler = cell.case, preparation.schedulers[cell.scheduler]
    batch = scheduler.outermost.kind.batch and not scheduler.inside
    wait = float(seconds(preparation.system.limits.queue_wait)) if batch else 0.0
    running = (case.walltime if case.total is None else case.total) * preparation.slowdown
    slots = scheduler.outermost.kind.spec.max_jobs if batch else 1
    return min(1.0, max(1, case.jobs) / slots), wait + running + TEARDOWN
