"""The state machine of a batch job: which answers change what, and that no single odd answer ends a job."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.execution.job import CLOCK_TOLERANCE, Job, Phase
from sdk_tests.schedulers import JobState, JobStatus

RUNNING = JobStatus(state=JobState.RUNNING, native_state="RUNNING")
QUEUED = JobStatus(state=JobState.QUEUED, native_state="PENDING")
ENDED = JobStatus(state=JobState.FAILED, native_state="FAILED")
STRANGE = JobStatus(state=JobState.UNKNOWN, native_state="REVOKED")


def job(folder: Path = Path("/nonexistent")) -> Job:
    request: Any = object()
    return Job("ex-1-token", folder, [request], True, 1, 60.0, job_id="1", phase=Phase.QUEUED, submitted=time.time())


def test_a_job_that_one_answer_does_not_mention_is_unknown_and_the_next_answer_brings_it_back() -> None:
    one = job()
    one.report(RUNNING, 10.0)
    one.lose(11.0)
    one.lose(12.0)
    assert (one.phase, one.unknown_since, one.in_queue) == (Phase.UNKNOWN, 11.0, True)
    one.report(RUNNING, 13.0)
    assert (one.phase, one.unknown_since, one.running_since) == (Phase.RUNNING, None, 10.0)


def test_a_job_given_up_has_left_the_queue_since_it_was_last_known() -> None:
    one = job()
    one.lose(11.0)
    one.give_up()
    assert (one.phase, one.left_at, one.in_queue) == (Phase.GONE, 11.0, False)


def test_a_requeued_job_waits_again_and_its_requeues_are_counted() -> None:
    one = job()
    one.report(RUNNING, 10.0)
    one.started.add(0)
    one.report(QUEUED, 20.0)
    assert (one.phase, one.requeues, one.queued_since, one.running_since, one.started) == (
        Phase.QUEUED,
        1,
        20.0,
        None,
        set(),
    )
    one.report(QUEUED, 21.0)
    assert (one.requeues, one.queued_since) == (1, 20.0)
    assert one.native()["requeues"] == 1


def test_the_mark_of_an_earlier_start_is_not_of_the_present_one(tmp_path: Path) -> None:
    one = job(tmp_path)
    mark = tmp_path / "0.started"
    assert not one.newly_started(0)
    mark.touch()
    one.report(RUNNING, 10.0)
    assert one.newly_started(0)
    assert not one.newly_started(0)
    one.report(QUEUED, 20.0)
    assert not one.newly_started(0)
    one.report(QUEUED, 21.0)
    assert (one.requeues, one.queued_since) == (1, 20.0)
    os.utime(mark, ns=(1, 1))  # the agent of the next start
    one.report(RUNNING, 30.0)
    assert one.newly_started(0)


def test_a_state_that_is_not_known_is_no_end() -> None:
    one = job()
    one.report(STRANGE, 10.0)
    assert one.in_queue


@given(st.lists(st.sampled_from([RUNNING, QUEUED, STRANGE, None])))
def test_only_an_end_state_or_giving_up_ends_a_job(answers: list[JobStatus | None]) -> None:
    one = job()
    for now, answer in enumerate(answers):
        if answer is None:
            one.lose(now)
        else:
            one.report(answer, now)
        assert one.in_queue
        assert (one.unknown_since is not None) == (one.phase is Phase.UNKNOWN)
    one.report(ENDED, 99.0)
    assert (one.phase, one.left_at) == (Phase.ENDED, 99.0)


@pytest.mark.parametrize(
    ("agent", "offset"),
    [(0.0, 0.0), (CLOCK_TOLERANCE - 1, 0.0), (3600.0, 3600.0), (-7200.0, -7200.0)],
)
def test_a_node_clock_that_is_off_is_measured_and_corrected(tmp_path: Path, agent: float, offset: float) -> None:
    one = job(tmp_path)
    now = time.time()
    (tmp_path / "agent.json").write_text(json.dumps({"started": now + agent}))
    one.look(now)
    assert one.clock_offset == pytest.approx(offset, abs=2)
    assert one.native()["clock_offset"] == (pytest.approx(offset, abs=2) if offset else None)
    timing = one.timing(now + agent, now + agent + 5)
    assert timing.run is not None
    assert timing.run.seconds == pytest.approx(5, abs=0.1)
    assert timing.started is not None
    if offset:
        corrected = one.timing(now + agent, None).started
        assert corrected is not None
        assert corrected[:15] == (job().timing(now, None).started or "")[:15]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"started": "soon"}', "null", "\x00"])
def test_a_greeting_that_cannot_be_read_changes_nothing(tmp_path: Path, text: str) -> None:
    one = job(tmp_path)
    (tmp_path / "agent.json").write_text(text)
    one.look(time.time())
    assert one.clock_offset == 0.0


def test_a_half_written_result_is_no_result(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert one.result(0) is None
    (tmp_path / "0.json").write_text('{"ending": "exi')
    assert one.result(0) is None
