"""The batch jobs that the harness submits itself: one for a case that wants its own, or for a group that shares one.

Lives in the supervisor. Submission, status queries (one for all jobs each interval) and cancellation are native
commands of the scheduler, run as children with a time limit. What an answer means for a job is in ``job``; here are the
questions: all jobs at once, then those that the answer did not mention one by one, then the accounting.

A job that may still exist is never forgotten: a submission whose answer was lost is looked for by the job's name, a
cancellation is repeated until the scheduler no longer lists the job, and what remains at the end is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from sdk_tests.execution import temporary_folder
from sdk_tests.execution.job import Job, Phase
from sdk_tests.execution.job_scripts import tail
from sdk_tests.execution.marked_processes import kill_marked
from sdk_tests.execution.messages import (
    AttemptFinished,
    Event,
    LaunchRequest,
    SchedulerSetup,
    Setup,
    attempt_finished,
)
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.execution.submission import KILL_MARGIN, new_job, submit_command
from sdk_tests.schedulers import CommandFailed, CommandResult, JobState, JobStatus, SchedulerKind

COMMAND_LIMIT = 30.0
"""Seconds that a native command may take."""
SHARED_MARGIN = 90.0
"""Seconds more for a shared job; its scheduler ends it, unless it has lost its node or the job."""
SEARCH_LIMIT = 10.0
"""Seconds after a failed submission during which the job may still appear in the queue."""
CANCEL_AGAIN = 5.0
"""Seconds after which a cancellation that has not taken effect is repeated."""
LINGER_LIMIT = 120.0
"""Seconds after its last result in which a job must leave the queue by itself, or it is cancelled."""
SINGLE_QUERIES = 20
"""Jobs that are asked about one by one in an interval, at most."""
_ENDED_EARLY = ("job-ended", "job-cancelled", "timeout", "vanished")
"""Endings of a job that one of its cases may have caused."""


class Batch:
    """All jobs of one scheduler.

    ``relaunch`` takes requests that did not start in their allocation and must be submitted again, and the reason.
    """

    def __init__(
        self,
        name: str,
        kind: SchedulerKind,
        given: SchedulerSetup,
        setup: Setup,
        processes: ProcessTable,
        send: Callable[[Event | AttemptFinished], None],
        relaunch: Callable[[list[LaunchRequest], str], None],
    ) -> None:
        self.kind, self.given, self.setup, self.processes = kind, given, setup, processes
        self.send, self.relaunch = send, relaunch
        self.name = name
        self.within = given.inner.within if given.inner else name
        """The scheduler in whose queue the jobs are."""
        self.jobs: list[Job] = []
        self.interval = given.spec.status_interval
        self.unreachable_after = max(10.0, 20 * self.interval)
        self._next_query = 0.0
        self._querying = False
        self._silent_since: float | None = None
        self._count = 0
        self._relaunched: set[str] = set()

    def live(self) -> int:
        """Return how many jobs hold, or may hold, a place in the queue."""
        return sum(job.in_queue for job in self.jobs)

    def live_ids(self) -> list[str]:
        """Return the ids of the jobs that may still be in the queue."""
        return [job.job_id for job in self.jobs if job.job_id is not None and job.in_queue]

    def submit(self, requests: list[LaunchRequest], shared: bool) -> None:
        """Write the job's files and submit it; ``requests`` have the same node count."""
        self._count += 1
        folder = Path(self.setup.folder) / f"{self.name}-job{self._count:03d}"
        name = f"ex-{self._count}-{self.setup.job_token}"
        job = new_job(name, folder, requests, self.given, shared=shared)
        self.jobs.append(job)
        self._guarded(job, lambda: self._submit(job))

    def _submit(self, job: Job) -> None:
        argv = submit_command(job, self.kind, self.given, self.setup)
        job.command = tuple(argv)
        job.submitted = job.queued_since = time.time()
        self._run(argv, lambda done: self._guarded(job, lambda: self._submitted(job, done)))

    def tick(self) -> None:
        """Collect results, apply the limits, and query the scheduler once an interval."""
        now = time.time()
        for job in self.jobs:
            self._guarded(job, partial(self._advance, job, now))
        self.jobs = [job for job in self.jobs if job.open or job.in_queue]
        if self._querying or now < self._next_query:
            return
        ids = self.live_ids()
        searched = any(job.phase is Phase.SUBMITTING and job.submit_error for job in self.jobs)
        if searched or ids:
            self._next_query = now + self.interval
        if searched:
            self._search()
        if ids:
            self._query(ids)

    def _query(self, ids: list[str]) -> None:
        try:
            argv = self.kind.status_argv(ids)
        except Exception as error:  # noqa: BLE001  # a kind that cannot ask has no answer, which ends no job at once
            self._answered(ids, CommandResult(("status",), 1, "", f"{type(error).__name__}: {error}"))
            return
        self._querying = True
        self._run(argv, lambda done: self._answered(ids, done))

    def cancel_all(self, ending: str = "cancelled", reason: str = "the run was stopped") -> None:
        """Cancel every job; its open cases end as ``ending`` says."""
        for job in self.jobs:
            self._cancel(job, ending, reason)
        self.tick()

    def abandon(self, *, stopped: bool) -> None:
        """Report the results that are there, without waiting for the scheduler, and forget all jobs.

        stopped: the harness stopped the run, so what is still open ends as cancelled. Otherwise it has no result.
        """
        for job in self.jobs:
            if stopped:
                self._finish_rest(job, "cancelled", "the run was stopped")
            else:
                self._collect(job)
        self.jobs.clear()

    # -- submission ---------------------------------------------------------------------------------------------------

    def _submitted(self, job: Job, done: CommandResult) -> None:
        try:
            job_id = self.kind.parse_submit(done)
        except Exception as failed:  # noqa: BLE001  # whatever cannot be read, the job may have been accepted
            job.submit_error = str(failed) if isinstance(failed, CommandFailed) else _unreadable(done, failed)
            job.search_until = time.time() + SEARCH_LIMIT
            if self.kind.own_jobs_argv() is None:
                self._refused(job)
            else:
                self._search()
            return
        self._accepted(job, job_id)

    def _accepted(self, job: Job, job_id: str) -> None:
        job.job_id, job.phase = job_id, Phase.QUEUED
        for request in job.requests:
            self.send(Event(case_id=request.case_id, what="submitted", detail=job_id))

    def _refused(self, job: Job) -> None:
        job.phase, job.left_at = Phase.GONE, time.time()
        self._finish_rest(job, "refused", job.submit_error)

    def _search(self) -> None:
        """Look in the queue for jobs whose submission failed: the scheduler may have accepted them all the same."""
        argv = self.kind.own_jobs_argv()
        if argv is not None:
            self._run(argv, self._searched)

    def _searched(self, done: CommandResult) -> None:
        try:
            names = {own.name: job_id for job_id, own in self.kind.parse_own_jobs(done).items()}
        except Exception:  # noqa: BLE001  # whatever is wrong with the listing, it names none of the jobs
            names = {}
        for job in self.jobs:
            if job.phase is Phase.SUBMITTING and job.submit_error:
                if job.name in names:
                    self._accepted(job, names[job.name])
                elif time.time() >= job.search_until:
                    self._refused(job)

    # -- status -------------------------------------------------------------------------------------------------------

    def _answered(self, asked: list[str], done: CommandResult) -> None:
        self._querying = False
        statuses = self._statuses(asked, done)
        now = time.time()
        if statuses is None:
            self._silent_since = self._silent_since or now
            for job in self._asked(asked):
                job.lose(now)
            return
        self._silent_since = None
        absent = []
        for job in self._asked(asked):
            status = statuses.get(self.kind.job_key(job.job_id or ""))
            if status is None:
                job.lose(now)
                absent.append(job)
            else:
                self._guarded(job, partial(self._report, job, status))
        for job in absent[:SINGLE_QUERIES]:
            try:
                self._ask_singly(job, len(asked) > 1)
            except Exception as error:  # noqa: BLE001  # a kind that cannot ask has no answer either
                self._problem = f"{type(error).__name__}: {error}"

    def _ask_singly(self, job: Job, several: bool) -> None:
        """Ask about one job that an answer did not mention: by itself, then in the accounting, in turns."""
        assert job.job_id is not None
        job.asked_singly += 1
        accounting = self.kind.accounting_argv([job.job_id]) if job.asked_singly % 2 == 0 or not several else None
        argv = accounting or self.kind.status_argv([job.job_id])
        parse = self.kind.parse_accounting if accounting else None
        self._run(argv, lambda done: self._answered_singly(job, done, parse))

    def _answered_singly(
        self, job: Job, done: CommandResult, parse: Callable[[CommandResult], dict[str, JobStatus]] | None
    ) -> None:
        assert job.job_id is not None
        statuses = self._statuses([job.job_id], done, parse)
        status = (statuses or {}).get(self.kind.job_key(job.job_id))
        if status is not None and not job.phase.left:
            self._guarded(job, partial(self._report, job, status))

    def _statuses(
        self,
        asked: list[str],
        done: CommandResult,
        parse: Callable[[CommandResult], dict[str, JobStatus]] | None = None,
    ) -> dict[str, JobStatus] | None:
        """Return statuses by job key; None where the answer is none, whatever the kind makes of it."""
        try:
            parsed = (parse or self.kind.parse_status)(done)
        except CommandFailed as failed:
            self._problem = str(failed)
            return None
        except Exception as error:  # noqa: BLE001  # a kind that cannot read an answer must not end the supervisor
            self._problem = _unreadable(done, error)
            return None
        return {self.kind.job_key(job_id): status for job_id, status in parsed.items()}

    _problem = ""

    def _asked(self, asked: Iterable[str]) -> list[Job]:
        ids = set(asked)
        return [job for job in self.jobs if job.job_id in ids and job.in_queue]

    def _report(self, job: Job, status: JobStatus) -> None:
        self._collect(job)
        before = job.status
        job.report(status, time.time())
        if before is None or before.native_state != status.native_state:
            for request in job.requests:
                self.send(Event(case_id=request.case_id, what=status.state.value, detail=status.reason or ""))

    # -- limits -------------------------------------------------------------------------------------------------------

    def _advance(self, job: Job, now: float) -> None:
        job.look(now)
        self._collect(job)
        spec = self.given.spec
        if job.phase is Phase.UNKNOWN and job.unknown_since is not None:
            limit = spec.job_unknown_limit if job.open else min(spec.job_unknown_limit, 2 * self.interval)
            if self._silent_since is None and now - job.unknown_since >= limit:
                job.give_up()
            elif self._silent_since is not None and now - self._silent_since >= self.unreachable_after:
                job.cancel_wanted = True  # for when it answers again, and for the end of the run
                self._finish_rest(job, "unreachable", self._problem)
        if job.phase is Phase.QUEUED and job.open and now - job.queued_since > job.requests[0].queue_wait:
            ending, words = (
                ("preempted", "had run, went back into the queue, and") if job.requeues else ("queue-wait", "")
            )
            detail = f"job {job.job_id} {words} did not start within the site's queue-wait limit".replace("  ", " ")
            self._cancel(job, ending, detail)
        elif job.running_since is not None and job.in_queue:
            margin = KILL_MARGIN + (SHARED_MARGIN if job.shared else 0.0)
            if now - job.running_since > job.walltime + margin:
                self._cancel(job, "timeout", f"job {job.job_id} was cancelled by the harness after its time limit")
        if not job.open and job.in_queue and now - (job.last_result or now) > LINGER_LIMIT:
            job.cancel_wanted = True
        self._send_cancel(job, now)
        if job.open and self._over(job, now):
            self._finish_rest(job, *self._why_ended(job))

    def _over(self, job: Job, now: float) -> bool:
        """Return whether no more results can come from a job."""
        if job.ending == "cancelled":
            return job.phase.left
        return job.phase.left and now - (job.left_at or now) >= self.given.spec.result_grace

    def _cancel(self, job: Job, ending: str, detail: str) -> None:
        if job.ending is None:
            job.ending, job.ending_detail = ending, detail
        job.cancel_wanted = True

    def _send_cancel(self, job: Job, now: float) -> None:
        if not job.cancel_wanted or job.job_id is None or job.phase.left:
            return
        if job.cancel_sent is None or now - job.cancel_sent >= CANCEL_AGAIN:
            job.cancel_sent = now
            self._run(self.kind.cancel_argv([job.job_id]), lambda _: None)

    def _why_ended(self, job: Job) -> tuple[str, str]:
        if job.ending:
            return job.ending, job.ending_detail
        status = job.status
        if job.phase is Phase.GONE or status is None:
            waited = f"{self.given.spec.job_unknown_limit:g} s"
            return "vanished", (
                f"job {job.job_id} is no longer in the queue: for {waited} the scheduler reported nothing about it, "
                "and it left no result"
            )
        words = f"job {job.job_id} ended as {status.native_state}"
        if status.state is JobState.TIMEOUT:
            return "timeout", words
        if status.state in (JobState.NODE_FAIL, JobState.PREEMPTED):
            return status.state.value, f"{words} {status.reason or ''}".rstrip()
        ending = "job-cancelled" if status.state is JobState.CANCELLED else "job-ended"
        return ending, f"{words} before the case had a result" + (f": {status.reason}" if status.reason else "")

    # -- results ------------------------------------------------------------------------------------------------------

    def _collect(self, job: Job) -> None:
        if job.job_id is None or not job.open:
            return
        not_started, reason = [], ""
        for index, request in enumerate(job.requests):
            if index in job.finished:
                continue
            if job.newly_started(index):
                self.send(Event(case_id=request.case_id, what="started", detail=job.job_id))
            if not (job.folder / f"{index}.json").exists() or not self._reported(job):
                continue
            result = job.result(index)
            if result is None or result["ending"] == "terminated":  # then the end of the job says why
                continue
            job.finished.add(index)
            job.last_result = time.time()
            if result["ending"] == "not-started":
                not_started.append(request)
                reason = f"its allocation was not healthy: {result['detail']}"
            else:
                ending = result.pop("ending")
                self.send(attempt_finished(request, ending, **result))
        self._submit_again(not_started, reason)

    def _submit_again(self, requests: list[LaunchRequest], reason: str) -> None:
        """Have requests that did not start submitted again: together, and the second time each by itself."""
        if not requests:
            return
        again = [
            msgspec.structs.replace(request, alone=True, fixture=None)
            if request.alone or request.key in self._relaunched
            else request
            for request in requests
        ]
        self._relaunched.update(request.key for request in requests)
        self.relaunch(again, reason)

    def _reported(self, job: Job) -> bool:
        """Return whether the scheduler has reported the job's start, or had time to: a result may outrun a query."""
        now = time.time()
        job.first_result = job.first_result or now
        started = job.status is not None and job.status.started is not None
        return started or job.phase.left or now - job.first_result >= max(1.0, 3 * self.interval)

    def _finish_rest(self, job: Job, ending: str, detail: str) -> None:
        """End the cases that have no result.

        If a job that several cases share has ended before them, that may be the fault of any one: those that ran are
        marked, and those that had not started are submitted again.
        """
        self._collect(job)
        output = tail(job.folder / "job.out")
        disturbed = f"the job that it shared had ended: {detail}" if ending in _ENDED_EARLY and job.several else ""
        not_started = []
        for index, request in enumerate(job.requests):
            if index not in job.finished:
                job.finished.add(index)
                self._end_orphans(job, request)
                if disturbed and job.started and index not in job.started:
                    not_started.append(request)
                    continue
                self.send(
                    attempt_finished(
                        request,
                        ending,
                        tail=output,
                        detail=detail,
                        timing=job.timing(None, None),
                        disturbed=disturbed if index in job.started else "",
                        **job.native(),
                    )
                )
        self._submit_again(not_started, disturbed)

    def _end_orphans(self, job: Job, request: LaunchRequest) -> None:
        """End what a case left whose agent was killed. Only on a testbed: a scheduler of its own does that itself."""
        if self.given.testbed and job.phase.left:
            mark = f"{self.setup.mark}/{request.key}"
            kill_marked(mark, request.scratch)
            temporary_folder.remove(mark)

    # -- commands -----------------------------------------------------------------------------------------------------

    def _guarded(self, job: Job, step: Callable[[], None]) -> None:
        """Take a step for one job; an exception in it ends that job's cases, and nothing else."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  # a defect of a scheduler kind costs its own case, not the run
            detail = f"the harness failed on job {job.job_id or job.name}: {type(error).__name__}: {error}"
            job.cancel_wanted = True
            if job.job_id is None:
                job.phase, job.left_at = Phase.GONE, time.time()
            self._finish_rest(job, "harness-error", detail)

    def _run(self, argv: list[str], then: Callable[[CommandResult], None]) -> None:
        def done(end: ProcessEnd) -> None:
            code = end.exit_code if end.ending == "exited" else None
            if end.ending == "unstarted":
                code = 127
            errors = end.detail or end.stderr.decode(errors="replace")
            then(CommandResult(tuple(argv), code, end.stdout.decode(errors="replace"), errors))

        self.processes.spawn(f"command {argv[0]}", argv, self.given.env, self.setup.folder, COMMAND_LIMIT, done)


def _unreadable(done: CommandResult, error: Exception) -> str:
    return f"the answer of {Path(done.argv[0]).name} could not be read: {type(error).__name__}: {error}"
