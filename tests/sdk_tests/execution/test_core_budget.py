"""The cores of the machine that several runs share: tokens, and whose turn it is to take them."""

from __future__ import annotations

import itertools
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.execution.core_budget import CoreBudget
from sdk_tests.execution.messages import LaunchRequest, SchedulerSetup, Setup
from sdk_tests.execution.process_table import ProcessEnd
from sdk_tests.execution.supervisor import Supervisor
from site_configs.schema import SchedulerSpec

NAMES = (f"test-{os.getpid()}-{number}" for number in itertools.count())


Budgets = Callable[[int, int], list[CoreBudget]]


@pytest.fixture
def name() -> str:
    return next(NAMES)


@pytest.fixture
def budgets(name: str) -> Iterator[Budgets]:
    """Return a function that creates the budgets of this many runs, on a machine with this capacity."""
    created: list[CoreBudget] = []

    def create(runs: int, capacity: int) -> list[CoreBudget]:
        created.extend(CoreBudget(capacity, name) for _ in range(runs))
        return created[-runs:]

    yield create
    for each in created:
        each.lower_to(0)
        each.leave_turn()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), max_size=30))
def test_all_runs_together_never_have_more_than_the_machine_has(steps: list[tuple[int, int]]) -> None:
    name = next(NAMES)
    runs = [CoreBudget(4, name) for _ in range(3)]
    for run, count in steps:
        if count < runs[run].held:
            runs[run].lower_to(count)
            assert runs[run].held == count
        elif runs[run].raise_to(count):
            assert runs[run].held >= min(count, 4)
        assert sum(each.held for each in runs) <= 4
    for each in runs:
        each.lower_to(0)
        each.leave_turn()
    assert runs[0].raise_to(4)
    runs[0].lower_to(0)


def test_work_for_the_whole_machine_is_not_passed_by_small_work(budgets: Budgets) -> None:
    small, whole, other = budgets(3, 4)
    assert small.raise_to(1)
    assert not whole.raise_to(9)
    assert not other.raise_to(1)
    assert not small.raise_to(2)
    small.lower_to(0)
    assert not other.raise_to(1)
    assert whole.raise_to(9)
    assert whole.held == 4
    whole.lower_to(0)
    assert other.raise_to(1)


def test_a_run_that_waits_no_longer_lets_the_others_take_tokens(budgets: Budgets) -> None:
    first, second, third = budgets(3, 2)
    assert first.raise_to(1)
    assert not second.raise_to(2)
    assert not third.raise_to(1)
    second.leave_turn()
    assert third.raise_to(1)


def test_the_tokens_of_a_killed_run_are_free(name: str, budgets: Budgets) -> None:
    program = (
        "from sdk_tests.execution.core_budget import CoreBudget\n"
        f"budget = CoreBudget(2, {name!r})\nprint(budget.raise_to(2), flush=True)\ninput()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        (mine,) = budgets(1, 2)
        assert not mine.raise_to(1)
        other.kill()
        other.wait()
        assert mine.raise_to(2)


class Table:
    """A process table whose children run until they are cancelled."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.running: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.running)

    def spawn(self, key: str, _argv: list[str], *rest: Any, mark: str = "") -> None:
        self.running[key] = rest[3]

    def cancel(self, key: str, ending: str = "cancelled") -> bool:
        self.running.pop(key)(ProcessEnd(key, ending, None, 15, b"", 0, b"", 0.0, 1.0))
        return True

    def poll(self, _timeout: float) -> None:
        pass


def supervisor(folder: Path, *, shared_cores: bool) -> tuple[Supervisor, Table]:
    """Return the supervisor of a run on a machine with one core, on which two cases may run at once."""
    environments: dict[str, dict[str, str]] = {"deployment": {}}
    setup = Setup(
        folder=str(folder),
        envs=environments,
        changes={},
        schedulers={"local": SchedulerSetup(spec=SchedulerSpec(kind="local"), env={})},
        local_cores=8,
        login_slots=8,
        machine_cores=1,
        python="/python",
        mark=f"run-{folder.name}",
        job_token="token",
        shared_cores=shared_cores,
    )
    table: Any = Table()
    created = Supervisor(setup, table, os.open(os.devnull, os.O_WRONLY))
    names = ("first", "second", "third")
    created.take(
        [
            LaunchRequest(
                case_id=f"a/{name}@local", attempt=1, argv=["program"], env="deployment", scratch=str(folder),
                scheduler="local", where="login", limit=60.0,
            ) for name in names
        ]
    )  # fmt: skip
    return created, table


def test_runs_of_rehearsals_side_by_side_start_together_what_one_would_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sdk_tests.execution.supervisor.CoreBudget", partial(CoreBudget, name=name))
    (one, first), (other, second) = (supervisor(tmp_path, shared_cores=True) for _ in range(2))
    one.step()
    other.step()
    assert (len(first), len(second)) == (2, 0)
    first.cancel("a/first@local#1")
    other.step()
    one.step()
    other.step()
    assert len(first) + len(second) == 2
    for table in (first, second):
        for key in list(table.running):
            table.cancel(key)
    for each in (one, other):
        each.pending.remove()
        each.step()
    whole = CoreBudget(2, name)
    assert whole.raise_to(2)
    whole.lower_to(0)


def test_other_runs_do_not_wait_for_each_other(tmp_path: Path) -> None:
    (one, first), (other, second) = (supervisor(tmp_path, shared_cores=False) for _ in range(2))
    one.step()
    other.step()
    assert (len(first), len(second)) == (2, 2)
