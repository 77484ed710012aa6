"""The critical path of a run: never shorter than any order can be, and made of what waited for each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.model.timeline import Bar, Limit, Timeline
from sdk_tests.report.critical_path import critical_path
from sdk_tests.report.screen import took_line

MACHINE = Limit(name="this machine", capacity=2, unit="cores")
POOL = "local fixture pool@local"
QUEUE = Limit(name="queue of slurm", capacity=1, unit="jobs in the queue")


def bar(name: str, seconds: float, *, start: float = 0.0, wait: float = 0.0, attempt: int = 1, **rest: object) -> Bar:
    given = {"uses": {"this machine": 1}, "scheduler": "local", **rest}
    began = start + wait
    return Bar(
        case_id=name,
        attempt=attempt,
        requested=start,
        submitted=start,
        launched=began,
        started=began,
        ended=began + seconds,
        collected=began + seconds,
        **given,  # type: ignore[arg-type]
    )


def timeline(*bars: Bar, wall: float = 100.0, limits: tuple[Limit, ...] = (MACHINE, QUEUE), **rest: object) -> Timeline:
    return Timeline(system="a/b", began=0.0, closed=wall, limits=list(limits), bars=list(bars), **rest)  # type: ignore[arg-type]


def one_by_one(*bars: Bar, **rest: Any) -> Timeline:
    """Return a run whose harness started each attempt only after the end of the one before."""
    moved, now = [], 0.0
    for each in bars:
        by = now - each.submitted
        times = {name: getattr(each, name) + by for name in ("requested", "submitted", "launched", "started", "ended")}
        moved.append(msgspec.structs.replace(each, **times, collected=each.collected + by))
        now = moved[-1].ended
    return timeline(*moved, **rest)


def test_a_run_without_attempts_has_none() -> None:
    assert critical_path(timeline()) is None


def test_independent_cases_take_as_long_as_the_longest_one() -> None:
    path = critical_path(one_by_one(bar("a", 5), bar("b", 9), wall=12.0))
    assert path is not None
    assert (path.seconds, path.chain, path.bound, path.reason) == (9, ("b",), 9, "b")
    assert path.ratio == pytest.approx(12 / 9)


def test_what_waits_for_a_core_is_in_the_chain_after_what_it_waited_for() -> None:
    path = critical_path(one_by_one(bar("a", 6), bar("b", 4), bar("c", 3), bar("d", 3)))
    assert path is not None
    assert path.seconds == 9  # two cores: 6 and 4, then 3 after the 4, then 3 after the 6
    assert path.chain == ("a", "d")
    assert (path.bound, path.reason) == (8, "this machine: 2 cores")


def test_the_wait_in_a_queue_belongs_to_the_chain_and_its_place_is_held_meanwhile() -> None:
    jobs = [bar(name, 2, wait=5, scheduler="slurm", uses={"queue of slurm": 1}) for name in ("x", "y")]
    path = critical_path(one_by_one(*jobs))
    assert path is not None
    assert (path.seconds, path.chain) == (14, ("x", "y"))


def test_cases_that_share_a_job_are_one_part_with_its_own_places() -> None:
    shared = {"scheduler": "slurm", "shares": "slurm 7", "uses": {"queue of slurm": 1}}
    bars = [bar(name, seconds, wait=wait, **shared) for name, seconds, wait in (("a", 4, 3), ("b", 4, 3), ("c", 2, 7))]
    path = critical_path(timeline(*bars, shared_cores={"slurm 7": 2}))
    assert path is not None
    assert path.seconds == 3 + 6
    assert path.chain in (("a", "c"), ("b", "c"))


def test_a_repetition_follows_the_attempt_that_it_repeats() -> None:
    path = critical_path(one_by_one(bar("a", 3), bar("a", 4, attempt=2)))
    assert path is not None
    assert (path.seconds, path.chain) == (7, ("a", "a"))


def test_what_is_larger_than_a_limit_runs_alone() -> None:
    path = critical_path(one_by_one(bar("big", 5, uses={"this machine": 8}), bar("a", 3), bar("b", 3)))
    assert path is not None
    assert path.seconds == 8


def test_it_is_never_longer_than_the_run_was() -> None:
    """Longest first is not the best order here: 3 and 3 beside 2, 2 and 2 is shorter than what it gives."""

    def at(name: str, seconds: float, start: float) -> Bar:
        return bar(name, seconds, start=start)

    bars = [at("a", 3, 0), at("b", 3, 3), at("c", 2, 0), at("d", 2, 2), at("e", 2, 4)]
    path = critical_path(timeline(*bars, wall=6.5))
    assert path is not None
    assert (path.seconds, path.bound) == (6, 6)
    assert path.chain in (("a", "b"), ("c", "d", "e"))
    assert path.ratio is not None
    assert path.ratio >= 1


BARS = st.lists(
    st.builds(
        lambda number, seconds, cores, repeats: [
            bar(f"c{number}", seconds, uses={"this machine": cores}, attempt=attempt + 1) for attempt in range(repeats)
        ],
        *(st.integers(0, 10_000), st.floats(0.1, 50), st.integers(1, 3), st.integers(1, 2)),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda bars: bars[0].case_id,
)


@given(grouped=BARS)
def test_it_is_between_what_no_order_can_beat_and_one_case_after_the_other(grouped: list[list[Bar]]) -> None:
    bars = [each for several in grouped for each in several]
    path = critical_path(one_by_one(*bars))
    assert path is not None
    total = sum(each.ended - each.submitted for each in bars)
    assert path.bound - 1e-6 <= path.seconds <= total + 1e-6
    lengths = {each.case_id: each.ended for each in bars}
    assert path.seconds == pytest.approx(sum(lengths[name] for name in path.chain))


def test_ten_thousand_cases_on_two_cores_take_half_of_their_time() -> None:
    path = critical_path(one_by_one(*(bar(f"c{number}", 1 + number % 7) for number in range(10_000))))
    assert path is not None
    assert path.seconds == path.bound == sum(1 + number % 7 for number in range(10_000)) / 2


def test_the_end_of_a_run_names_time_set_up_ratio_and_chain() -> None:
    bars = [bar(name, 10, start=5) for name in ("a/x@local", "b/y@local")]
    bars += [bar(f"c/{n}@local", 8, start=15) for n in range(4)] + [bar("d/z@local", 9, start=30)]
    line = took_line(timeline(*bars, wall=75.0))
    assert line.startswith("75.0 s: set-up 5.00 s, cases 70.0 s, 2.")
    assert "times their critical path of" in line
    assert " > " in line
    assert took_line(None) == took_line(timeline()) == ""


def test_the_cases_of_a_fixture_follow_its_start_one_after_another() -> None:
    bars = [
        msgspec.structs.replace(bar(name, seconds, start=start), submitted=1.0, launched=None, shares=POOL, cores=2)
        for name, start, seconds in (("a", 11, 4), ("b", 15, 3), ("c", 20, 2))
    ]
    path = critical_path(timeline(*bars, wall=30.0, shared_cores={POOL: 2}))
    assert path is not None
    assert path.seconds == 10 + 4 + 3 + 2, "the pause before the last case is not part of it"
    assert path.chain == ("a", "b", "c")
