"""The limit that a manifest declares is never shorter than the plan may take, and never longer than stale_after."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.time_limit import TEARDOWN, time_limit
from site_configs.schema import seconds

SKIPPED: Any = Judgement


def prepared(
    *, batch: bool = True, max_jobs: int = 1, queue_wait: str = "01:00:00", retries: int = 0, stale: str | None = None
) -> Any:
    kind = SimpleNamespace(batch=batch, spec=SimpleNamespace(max_jobs=max_jobs))
    scheduler = SimpleNamespace(outermost=SimpleNamespace(kind=kind), inside=False)
    limits = SimpleNamespace(queue_wait=queue_wait, infra_retries=retries)
    system = SimpleNamespace(limits=limits, stale_after=stale)
    return SimpleNamespace(schedulers={"s": scheduler}, system=system, slowdown=1.0)


def cell(number: int = 0, walltime: float = 600.0, total: float | None = None, jobs: int = 1) -> Cell:
    case = Case(component="psij", name=f"n{number}", payload="psij/hello.py", walltime=walltime, total=total, jobs=jobs)
    return Cell(case, "s", case.case_id("s"))


@pytest.mark.parametrize(
    ("preparation", "cells", "limit"),
    [
        (prepared(), [], "00:02:00"),
        (prepared(batch=False), [cell()], "00:36:00"),
        (prepared(), [cell()], "03:36:00"),
        (prepared(max_jobs=2), [cell(), cell(1)], "03:36:00"),
        (prepared(), [cell(), cell(1)], "06:00:00"),
        (prepared(retries=2), [cell()], "06:00:00"),
        (prepared(), [cell(total=1200.0)], "04:06:00"),
        (prepared(stale="02:00:00"), [cell()], "02:00:00"),
        (prepared(stale="72:00:00"), [cell()], "03:36:00"),
        (prepared(), [Cell(cell().case, "absent", "x", SKIPPED)], "00:02:00"),
    ],
)
def test_the_limit_of_a_plan(preparation: Any, cells: list[Cell], limit: str) -> None:
    assert time_limit(preparation, cells) == limit


@given(
    st.lists(st.tuples(st.integers(1, 7200), st.integers(1, 4)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(0, 3),
    st.booleans(),
)
@example([(1, 2), (1, 2), (1, 2), (678, 1), (3, 1)], 3, 3, True)
def test_no_order_of_the_cases_takes_longer(
    plan: list[tuple[int, int]], max_jobs: int, retries: int, batch: bool
) -> None:
    """Carry the plan out: each case waits, runs and is repeated for as long as it may."""
    preparation = prepared(batch=batch, max_jobs=max_jobs, retries=retries)
    cells = [cell(number, float(walltime), jobs=min(jobs, max_jobs)) for number, (walltime, jobs) in enumerate(plan)]
    slots = max_jobs if batch else 1
    wait = 3600.0 if batch else 0.0
    running: list[tuple[float, int]] = []
    now = 0.0
    for each in [each for each in cells for _ in range(1 + retries)]:
        needed = min(each.case.jobs, slots)
        while sum(jobs for _, jobs in running) + needed > slots:
            running.sort()
            now, _ = running.pop(0)
        running.append((now + wait + each.case.walltime + TEARDOWN, needed))
    assert max(end for end, _ in running) <= seconds(time_limit(preparation, cells)) + 1
