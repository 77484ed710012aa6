"""The harness's own batch jobs, followed through what their scheduler answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sdk_tests.execution.batch import Batch
from sdk_tests.execution.job import Job
from sdk_tests.execution.process_table import ProcessEnd
from sdk_tests.schedulers import Finished, JobState, JobStatus


class Forgetful:
    """A scheduler that, asked for several jobs, tells of the first alone, as the qstat of OpenPBS 23.06 does."""

    def __init__(self, known: set[str]) -> None:
        self.known = known

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return ["status", *ids]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        first = [number for number in done.argv[1:] if number in self.known][:1]
        return {number: JobStatus(state=JobState.RUNNING, native_state="R") for number in first}


@pytest.fixture
def followed(tmp_path: Path) -> Callable[..., list[Job]]:
    """Follow two jobs, of which the scheduler knows some, through one round of its answers."""

    def round_of(*known: str) -> list[Job]:
        def spawn(
            name: str, argv: list[str], env: Any, folder: Path, limit: float, done: Callable[[ProcessEnd], None]
        ) -> None:
            done(cast("ProcessEnd", SimpleNamespace(ending="exited", exit_code=0, stdout=b"", stderr=b"", detail="")))

        given = SimpleNamespace(inner=None, env={}, spec=SimpleNamespace(status_interval=1.0))
        setup, processes = SimpleNamespace(folder=tmp_path), SimpleNamespace(spawn=spawn)
        parts: list[Any] = [Forgetful(set(known)), given, setup, processes]
        batch = cast("Any", Batch)("pbs", *parts, lambda event: None)
        request: Any = SimpleNamespace(case_id="a/case@pbs", queue_wait=60.0)
        batch.jobs = [
            Job(number, tmp_path, [request], True, 1, 60.0, job_id=number, submitted=time.time())
            for number in ("1.here", "2.here")
        ]
        batch.tick()
        return list[Job](batch.jobs)

    return round_of


def test_a_job_that_one_answer_leaves_out_is_asked_for_by_itself(followed: Callable[..., list[Job]]) -> None:
    assert [job.gone_at for job in followed("1.here", "2.here")] == [None, None]


def test_a_job_that_is_not_known_by_itself_either_is_gone(followed: Callable[..., list[Job]]) -> None:
    first, second = followed("1.here")
    assert first.gone_at is None
    assert second.gone_at is not None
