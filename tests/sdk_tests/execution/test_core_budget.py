"""The cores of the machine that several runs share: tokens, and whose turn it is to take them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.execution.core_budget import CoreBudget

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
