"""Jobs that payloads left in the queue: found wherever they appear, however late, and never silently given up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution import leftover_jobs
from sdk_tests.execution.leftover_jobs import LeftoverJobs
from sdk_tests.execution.process_table import ProcessTable
from sdk_tests.schedulers import CommandFailed, CommandResult, OwnJob
from sdk_tests.schedulers.slurm import SlurmKind
from site_configs.schema import SchedulerSpec


class Listed(SlurmKind):
    """A queue that is a file of lines ``ID NAME FOLDER``; if a file ``….closed`` exists, nothing can be cancelled."""

    def own_jobs_argv(self) -> list[str]:
        return ["cat", self.env["QUEUE"]]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        if done.exit_code != 0:
            raise CommandFailed(done.evidence)
        rows = (line.split(" ", 2) for line in done.stdout.splitlines())
        return {job: OwnJob(name, folder) for job, name, folder in rows}

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        if Path(self.env["QUEUE"] + ".closed").exists():
            return ["false"]
        return ["sh", "-c", 'for id; do sed -i "/^$id /d" "$QUEUE"; done', "sh", *ids]


class Queue:
    """The queue of a test, and what looks after it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "queue"
        self.file.touch()
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.processes = ProcessTable()
        self.env = {**os.environ, "QUEUE": str(self.file)}
        self.kind = Listed(SchedulerSpec(name="slurm", kind="slurm"), self.env)
        self.leftover_jobs = LeftoverJobs(self.kind, self.env, str(folder), self.processes)

    def submit(self, job: str, folder: Path, name: str = "job") -> None:
        with self.file.open("a") as file:
            file.write(f"{job} {name} {folder}\n")

    def clear(self, ids: Sequence[str], scratches: Sequence[str], token: str = "") -> tuple[str, str] | None:
        return leftover_jobs.clear(self.kind, self.env, ids, scratches, token, limit=1.0)

    @property
    def left(self) -> list[str]:
        return [line.split()[0] for line in self.file.read_text().splitlines()]

    def until(self, what: Any, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline
            self.leftover_jobs.tick()
            self.processes.poll(0.05)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(leftover_jobs, "SUBMISSION_GRACE", 0.5)
    watched = Queue(tmp_path)
    yield watched
    watched.until(lambda: len(watched.processes) == 0)


def test_only_jobs_below_the_scratch_of_an_unclean_payload_are_cancelled(queue: Queue, tmp_path: Path) -> None:
    queue.submit("1", queue.scratch / "below")
    queue.submit("2", tmp_path / "scratch-of-another")
    queue.leftover_jobs.seek(str(queue.scratch))
    queue.until(lambda: queue.left == ["2"])


def test_a_job_that_reaches_the_queue_after_its_payloads_end_is_found_too(queue: Queue) -> None:
    queue.leftover_jobs.seek(str(queue.scratch))
    queue.until(
        lambda: not queue.leftover_jobs._looking and queue.leftover_jobs._next > 0
    )  # the first look found nothing
    queue.submit("1", queue.scratch)
    queue.until(lambda: queue.left == [])


def test_a_scratch_reached_through_a_symbolic_link_is_recognised(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(queue.scratch)
    queue.submit("1", queue.scratch)
    queue.leftover_jobs.seek(str(tmp_path / "link"))
    queue.until(lambda: queue.left == [])


def test_a_queue_that_does_not_answer_is_asked_again(queue: Queue) -> None:
    queue.submit("1", queue.scratch)
    away = queue.file.rename(queue.file.with_name("away"))
    queue.leftover_jobs.seek(str(queue.scratch))
    queue.until(lambda: not queue.leftover_jobs._looking and queue.leftover_jobs._next > 0)
    away.rename(queue.file)
    queue.until(lambda: queue.left == [])


def test_the_places_of_a_payloads_jobs_count_until_the_queue_shows_them_no_more(queue: Queue) -> None:
    queue.submit("1", queue.scratch / "below")
    queue.submit("2", queue.scratch.parent)
    queue.leftover_jobs.hold(str(queue.scratch), 3)
    queue.until(lambda: not queue.leftover_jobs._looking and queue.leftover_jobs._next > 0)
    assert (queue.leftover_jobs.held, queue.left) == (3, ["1", "2"])
    queue.file.write_text(f"2 job {queue.scratch.parent}\n")
    queue.until(lambda: queue.leftover_jobs.held == 0)
    assert queue.left == ["2"]


def test_a_look_that_began_before_a_payloads_end_frees_no_place(queue: Queue) -> None:
    queue.leftover_jobs.seek(str(queue.scratch))
    queue.leftover_jobs.tick()  # this look is on its way
    queue.submit("1", queue.scratch.parent / "another")
    queue.leftover_jobs.hold(str(queue.scratch.parent / "another"), 1)
    queue.until(lambda: not queue.leftover_jobs._looking)
    assert queue.leftover_jobs.held == 1
    queue.file.write_text("")
    queue.until(lambda: queue.leftover_jobs.held == 0)


def test_places_are_not_held_for_ever(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftover_jobs, "HOLD_LIMIT", 0.5)
    queue.submit("1", queue.scratch)
    queue.leftover_jobs.hold(str(queue.scratch), 1)
    queue.until(lambda: queue.leftover_jobs.held == 0)
    assert queue.left == ["1"]


def test_a_run_that_ends_before_the_look_cancels_all_the_same(queue: Queue) -> None:
    queue.submit("1", queue.scratch)
    queue.submit("7", queue.scratch.parent)
    queue.leftover_jobs.seek(str(queue.scratch))
    assert queue.clear(["7"], queue.leftover_jobs.sought) is None
    assert queue.left == []


def test_a_job_that_arrives_while_the_run_leaves_is_cancelled(queue: Queue) -> None:
    threading.Timer(0.2, queue.submit, ("1", queue.scratch)).start()
    assert queue.clear([], [str(queue.scratch)]) is None
    assert queue.left == []


def test_a_job_whose_submission_was_never_answered_is_found_by_the_token_in_its_name(queue: Queue) -> None:
    queue.submit("1", queue.scratch.parent, "ex-3-5f2a91bc")
    queue.submit("2", queue.scratch.parent, "ex-3-00000000")
    assert queue.clear([], [], "5f2a91bc") is None
    assert queue.left == ["2"]


def test_what_cannot_be_cancelled_or_listed_is_reported_with_the_command_to_do_it_by_hand(queue: Queue) -> None:
    queue.submit("1", queue.scratch)
    Path(f"{queue.file}.closed").touch()
    left = queue.clear([], [str(queue.scratch)])
    assert left is not None
    assert left[0].startswith("jobs 1 are still in the queue")
    assert left[1] == "false"
    queue.file.unlink()
    left = queue.clear(["1"], [str(queue.scratch)])
    assert left is not None
    assert "jobs 1 may still be there" in left[0]
    assert "could not be listed" in left[0]
    assert "No such file" in left[0]
