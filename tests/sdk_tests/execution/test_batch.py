"""The harness's own batch jobs, followed through the answers of a scheduler that answers as a test wants it to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution import batch as batch_module
from sdk_tests.execution.batch import Batch
from sdk_tests.execution.job import Job, Phase
from sdk_tests.execution.messages import (
    AttemptFinished,
    EnvironmentChange,
    LaunchRequest,
    SchedulerSetup,
    Setup,
)
from sdk_tests.execution.process_table import ProcessEnd
from sdk_tests.schedulers import (
    CommandFailed,
    CommandResult,
    JobSpec,
    JobState,
    JobStatus,
    OwnJob,
    Probe,
    SchedulerKind,
)
from site_configs.schema import SchedulerSpec

RUNNING = JobStatus(state=JobState.RUNNING, native_state="R", started=1.0)
QUEUED = JobStatus(state=JobState.QUEUED, native_state="Q")
FAILED = JobStatus(state=JobState.FAILED, native_state="F")

SPEC = SchedulerSpec(kind="scripted", status_interval=0.01, job_unknown_limit=0.3, result_grace=0.1)


class Scripted(SchedulerKind):
    """A scheduler whose answers a test sets. jobs: its queue; lost: whether the answer of a submission is lost."""

    kind = "scripted"

    def __init__(self) -> None:
        super().__init__(SPEC, {})
        self.jobs: dict[str, JobStatus] = {}
        self.names: dict[str, str] = {}
        self.accounted: dict[str, JobStatus] = {}
        self.cancelled: list[str] = []
        self.answer: Callable[[dict[str, JobStatus]], dict[str, JobStatus]] = dict
        self.only_first = self.lost = self.refused = self.deaf = False

    def probe(self) -> Probe:
        return Probe(kind=self.kind, available=True)

    def submit_argv(self, job: JobSpec) -> list[str]:
        return ["submit", job.name]

    def parse_submit(self, done: CommandResult) -> str:
        if self.refused:
            raise CommandFailed("submit: invalid account")
        number = f"{len(self.jobs) + 1}.server"
        self.jobs[number], self.names[number] = RUNNING, done.argv[1]
        if self.lost:
            raise CommandFailed("submit: Socket timed out on send/recv operation")
        return number

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return ["status", *ids]

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        asked = {job: self.jobs[job] for job in done.argv[1:] if job in self.jobs}
        if self.only_first:
            asked = dict(list(asked.items())[:1])
        return self.answer(asked)

    def accounting_argv(self, ids: Sequence[str]) -> list[str] | None:
        return ["accounting", *ids] if self.accounted else None

    def parse_accounting(self, done: CommandResult) -> dict[str, JobStatus]:
        return {job: self.accounted[job] for job in done.argv[1:] if job in self.accounted}

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        self.cancelled += ids
        if not self.deaf:
            for job in ids:
                self.jobs.pop(job, None)
        return ["cancel", *ids]

    def own_jobs_argv(self) -> list[str]:
        return ["list"]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        return {job: OwnJob(self.names.get(job, ""), "") for job in self.jobs}

    def job_key(self, job_id: str) -> str:
        return job_id.partition(".")[0]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        return list(argv)

    def ping_argv(self) -> list[str]:
        return ["true"]


class Desk:
    """One batch with its scheduler; commands are answered at once."""

    def __init__(self, folder: Path) -> None:
        self.kind = Scripted()
        self.sent: list[Any] = []
        self.relaunched: list[tuple[LaunchRequest, str]] = []
        given = SchedulerSetup(spec=SPEC, env={})
        setup = Setup(
            folder=str(folder),
            envs={},
            changes={"deployment": EnvironmentChange()},
            schedulers={"scripted": given},
            local_cores=1,
            login_slots=1,
            machine_cores=1,
            python="/python",
            mark="run",
            job_token="token",
        )
        processes: Any = self

        def relaunch(requests: list[LaunchRequest], reason: str) -> None:
            self.relaunched += [(request, reason) for request in requests]

        self.batch = Batch("scripted", self.kind, given, setup, processes, self.sent.append, relaunch)

    def spawn(
        self, key: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, limit: float, done: Any, mark: str = ""
    ) -> None:
        done(ProcessEnd(key, "exited", 0, None, b"", 0, b"", 0.0, 0.0))

    def submit(self, *names: str, queue_wait: float = 60.0) -> Job:
        requests = [
            LaunchRequest(
                case_id=f"a/{name}@scripted",
                attempt=1,
                argv=["program", "{}"],
                env="deployment",
                scratch="/scratch",
                scheduler="scripted",
                where="allocation",
                queue_wait=queue_wait,
            )
            for name in names or ("case",)
        ]
        self.batch.submit(requests, shared=True)
        return self.batch.jobs[-1]

    def land(self, job: Job, index: int = 0, **changes: Any) -> None:
        meta = {
            "ending": "exited",
            "exit_code": 0,
            "signal": None,
            "stdout_bytes": 2,
            "started": 1.0,
            "ended": 2.0,
            "orphan_processes": [],
            "detail": "",
            "waited": False,
            "disturbed": "",
            "starved": 0.0,
        }
        (job.folder / f"{index}.out").write_text("{}")
        (job.folder / f"{index}.json").write_text(json.dumps({**meta, **changes}))

    def tick(self, seconds: float = 0.0) -> None:
        until = time.monotonic() + seconds
        self.batch.tick()
        while time.monotonic() < until:
            time.sleep(0.02)
            self.batch.tick()

    @property
    def endings(self) -> list[tuple[str, str]]:
        results = [each.result for each in self.sent if isinstance(each, AttemptFinished)]
        return [(result.ending, result.detail) for result in results]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(batch_module, "SEARCH_LIMIT", 0.3)
    monkeypatch.setattr(batch_module, "CANCEL_AGAIN", 0.1)
    return Desk(tmp_path)


def test_a_result_is_reported_once_and_the_job_is_followed_until_it_has_left(desk: Desk) -> None:
    job = desk.submit()
    desk.land(job)
    desk.tick(0.1)
    assert desk.endings == [("exited", "")]
    assert desk.batch.jobs == [job]
    desk.kind.jobs["1.server"] = JobStatus(state=JobState.DONE, native_state="F")
    desk.tick(0.1)
    assert (desk.batch.jobs, desk.endings) == ([], [("exited", "")])


def test_a_job_that_a_bulk_answer_leaves_out_is_asked_about_by_itself(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    desk.kind.only_first = True
    desk.tick(0.6)
    assert (first.phase, second.phase) == (Phase.RUNNING, Phase.RUNNING)
    assert desk.endings == []


@pytest.mark.parametrize("odd", ["absent", "unreadable", "exception", "other"])
def test_one_odd_answer_neither_ends_a_job_nor_loses_it(desk: Desk, odd: str) -> None:
    job = desk.submit()
    desk.tick()

    def answer(_: dict[str, JobStatus]) -> dict[str, JobStatus]:
        if odd == "unreadable":
            raise CommandFailed("status: exit 1: Socket timed out")
        if odd == "exception":
            raise KeyError("JOBS")
        return {"99.server": FAILED} if odd == "other" else {}

    desk.kind.answer = answer
    desk.tick(0.1)
    assert (job.phase, job.in_queue, desk.endings) == (Phase.UNKNOWN, True, [])
    desk.kind.answer = dict
    desk.tick(0.1)
    assert (job.phase, desk.endings, desk.kind.cancelled) == (Phase.RUNNING, [], [])


def test_a_job_unknown_for_the_stated_time_has_vanished_and_the_evidence_says_so(desk: Desk) -> None:
    desk.submit()
    desk.tick()
    desk.kind.jobs.clear()
    desk.tick(0.1)
    assert desk.endings == []
    desk.tick(0.5)
    ((ending, detail),) = desk.endings
    assert ending == "vanished"
    assert "for 0.3 s the scheduler reported nothing about it" in detail


def test_a_job_that_has_left_all_its_results_frees_its_place_as_soon_as_the_queue_shows_it_no_more(desk: Desk) -> None:
    job = desk.submit()
    desk.land(job)
    desk.tick(0.05)
    desk.kind.jobs.clear()
    desk.tick(0.1)
    assert (desk.batch.live(), [ending for ending, _ in desk.endings]) == (0, ["exited"])


def test_the_accounting_is_asked_about_a_job_that_left_the_queue(desk: Desk) -> None:
    job = desk.submit()
    desk.tick()
    desk.kind.accounted = {"1.server": FAILED}
    desk.kind.jobs.clear()
    desk.tick(0.25)
    assert job.phase is Phase.ENDED
    assert [ending for ending, _ in desk.endings] == ["job-ended"]


def test_a_submission_whose_answer_was_lost_is_found_by_its_name(desk: Desk) -> None:
    desk.kind.lost = True
    job = desk.submit()
    desk.tick()
    assert (job.job_id, job.phase) == ("1.server", Phase.RUNNING)
    desk.land(job)
    desk.tick(0.1)
    assert desk.endings == [("exited", "")]


def test_a_refused_submission_is_reported_after_the_queue_was_searched(desk: Desk) -> None:
    desk.kind.refused = True
    desk.submit()
    desk.tick(0.1)
    assert desk.endings == []
    desk.tick(0.4)
    assert desk.endings == [("refused", "submit: invalid account")]
    assert desk.batch.jobs == []


def test_every_name_is_its_own_and_ends_in_the_token_of_the_run(desk: Desk) -> None:
    names = {desk.submit().name for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("ex-") and name.endswith("-token") for name in names)


def test_a_cancellation_is_repeated_until_the_job_has_left_and_its_place_counts_until_then(desk: Desk) -> None:
    job = desk.submit(queue_wait=0.05)
    desk.kind.jobs["1.server"] = QUEUED
    desk.kind.deaf = True
    desk.tick(0.4)
    assert len(desk.kind.cancelled) >= 2
    assert (job.in_queue, desk.batch.live()) == (True, 1)
    desk.kind.deaf = False
    desk.tick(0.8)
    assert desk.batch.live() == 0
    ((ending, detail),) = desk.endings
    assert ending == "queue-wait"
    assert "did not start" in detail


def test_a_scheduler_that_stopped_answering_ends_the_case_and_the_job_is_cancelled_when_it_answers_again(
    desk: Desk,
) -> None:
    job = desk.submit()
    desk.batch.unreachable_after = 0.2

    def silent(_: dict[str, JobStatus]) -> dict[str, JobStatus]:
        raise CommandFailed("status: no answer")

    desk.kind.answer = silent
    desk.tick(0.5)
    assert desk.endings == [("unreachable", "status: no answer")]
    assert job in desk.batch.jobs
    desk.kind.answer = dict
    desk.tick(0.6)
    assert "1.server" in desk.kind.cancelled
    assert desk.batch.jobs == []


def test_a_requeued_job_is_waited_for_and_its_requeues_are_recorded(desk: Desk) -> None:
    job = desk.submit()
    desk.tick(0.05)
    desk.kind.jobs["1.server"] = QUEUED
    desk.tick(0.05)
    assert (job.requeues, desk.endings, desk.kind.cancelled) == (1, [], [])
    desk.kind.jobs["1.server"] = RUNNING
    desk.land(job)
    desk.tick(0.1)
    (result,) = [each.result for each in desk.sent if isinstance(each, AttemptFinished)]
    assert (result.ending, result.requeues) == ("exited", 1)


def test_a_requeued_job_that_does_not_start_again_is_given_up_as_preempted(desk: Desk) -> None:
    job = desk.submit(queue_wait=0.6)
    (job.folder / "0.started").touch()  # by the agent, in the first start of the job
    desk.tick(0.05)
    assert job.started == {0}
    desk.kind.jobs["1.server"] = QUEUED
    desk.tick(0.2)
    assert (job.requeues, job.started, desk.endings) == (1, set(), [])  # not one requeue an interval
    desk.tick(1.5)
    ((ending, detail),) = desk.endings
    assert (ending, job.requeues) == ("preempted", 1)
    assert "went back into the queue, and did not start" in detail


def test_a_late_result_counts_within_the_grace_and_not_after_it(desk: Desk) -> None:
    job = desk.submit("in-time", "too-late")
    desk.tick(0.02)
    desk.kind.jobs["1.server"] = FAILED
    desk.tick(0.05)
    desk.land(job, 0)
    desk.tick(0.2)
    assert [ending for ending, _ in desk.endings] == ["exited", "job-ended"]


def test_a_case_that_did_not_start_in_an_unhealthy_allocation_is_launched_again(desk: Desk) -> None:
    job = desk.submit("bad", "waiting")
    desk.land(job, 0, ending="timeout", disturbed="it does not answer")
    desk.land(job, 1, ending="not-started", exit_code=None, detail="it does not answer")
    desk.tick(0.1)
    ((relaunched, reason),) = desk.relaunched
    assert (relaunched.case_id, relaunched.alone) == ("a/waiting@scripted", False)
    assert reason == "its allocation was not healthy: it does not answer"
    (result,) = [each.result for each in desk.sent if isinstance(each, AttemptFinished)]
    assert (result.case_id, result.disturbed) == ("a/bad@scripted", "it does not answer")


def test_a_case_that_did_not_start_twice_is_launched_the_third_time_by_itself(desk: Desk) -> None:
    for _ in range(2):
        job = desk.submit("bad", "waiting")
        desk.land(job, 0, ending="timeout", disturbed="it does not answer")
        desk.land(job, 1, ending="not-started", exit_code=None, detail="it does not answer")
        desk.tick(0.1)
    assert [request.alone for request, _ in desk.relaunched] == [False, True]


def test_a_shared_job_that_ends_early_marks_the_cases_that_ran_and_launches_the_others_again(desk: Desk) -> None:
    job = desk.submit("ended", "ran", "waited")
    for index in (0, 1):
        (job.folder / f"{index}.started").touch()
    desk.land(job, 0)
    desk.tick(0.1)
    desk.kind.jobs["1.server"] = FAILED
    desk.tick(0.3)
    results = {each.result.case_id: each.result for each in desk.sent if isinstance(each, AttemptFinished)}
    assert {case: result.ending for case, result in results.items()} == {
        "a/ended@scripted": "exited",
        "a/ran@scripted": "job-ended",
    }
    reason = "the job that it shared had ended: job 1.server ended as F before the case had a result"
    assert [result.disturbed for result in results.values()] == ["", reason]
    assert [(request.case_id, why) for request, why in desk.relaunched] == [("a/waited@scripted", reason)]


def test_a_job_of_one_case_that_ends_early_is_judged_as_it_is(desk: Desk) -> None:
    job = desk.submit("only")
    (job.folder / "0.started").touch()
    desk.tick(0.05)
    desk.kind.jobs["1.server"] = FAILED
    desk.tick(0.3)
    (result,) = [each.result for each in desk.sent if isinstance(each, AttemptFinished)]
    assert (result.ending, result.disturbed, desk.relaunched) == ("job-ended", "", [])


def test_what_the_agent_wrote_when_its_job_was_ended_is_not_taken_for_the_reason(desk: Desk) -> None:
    job = desk.submit()
    desk.land(job, ending="terminated", exit_code=None)
    desk.tick(0.05)
    assert desk.endings == []
    desk.kind.jobs["1.server"] = JobStatus(state=JobState.TIMEOUT, native_state="TIMEOUT")
    desk.tick(0.3)
    assert [ending for ending, _ in desk.endings] == ["timeout"]


@pytest.mark.parametrize("method", ["submit_argv", "status_argv", "inner_commands", "walltime"])
def test_a_defect_of_a_scheduler_kind_costs_its_own_case_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    healthy = desk.submit("healthy")
    desk.tick()

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(desk.kind, method, broken)
        if method != "status_argv":
            desk.submit("broken")
        desk.tick(0.1)
    desk.land(healthy)
    desk.tick(0.2)
    endings = dict(desk.endings)
    assert endings.get("exited") == ""
    if method != "status_argv":
        assert "RuntimeError: a defect" in endings["harness-error"]


def test_the_jobs_of_a_scheduler_that_is_given_up_are_cancelled_and_its_cases_end_with_the_reason(desk: Desk) -> None:
    job = desk.submit()
    desk.batch.cancel_all("control-failed", "the control case failed")
    desk.tick(0.3)
    assert set(desk.kind.cancelled) == {"1.server"}
    assert desk.endings == [("control-failed", "the control case failed")]
    assert not job.open
