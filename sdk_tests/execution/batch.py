"""The batch jobs the harness submits itself: one per case that wants its own, one per group that shares an allocation.

Lives in the supervisor. Submission, one bulk status query an interval, and cancellation are native commands run as
children with a time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sdk_tests.execution.job import Job
from sdk_tests.execution.job_scripts import Place, own_script, shared_script, tail
from sdk_tests.execution.messages import AttemptFinished, Event, LaunchRequest, SchedulerSetup, Setup, attempt_finished
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.schedulers import CommandFailed, Finished, JobSpec, JobState, JobStatus, SchedulerKind

COMMAND_LIMIT = 30.0
"""Seconds a native command may take."""
KILL_MARGIN = 5.0
"""Seconds past a case's walltime before its own job is cancelled; schedulers round walltimes up to minutes."""
SHARED_MARGIN = 90.0
"""Seconds more for a shared one, which its scheduler ends by itself unless it has lost its node or the job."""


class Batch:
    """All jobs of one scheduler."""

    def __init__(
        self,
        name: str,
        kind: SchedulerKind,
        given: SchedulerSetup,
        setup: Setup,
        processes: ProcessTable,
        send: Callable[[Event | AttemptFinished], None],
    ) -> None:
        self.kind, self.given, self.setup, self.processes, self.send = kind, given, setup, processes, send
        self.name = name
        self.within = given.inner.within if given.inner else name
        """The scheduler in whose queue its jobs are."""
        self.jobs: list[Job] = []
        self.interval = given.spec.status_interval
        self.grace = max(1.0, 3 * self.interval)
        self.unreachable_after = max(10.0, 20 * self.interval)
        self._next_query = 0.0
        self._querying = False
        self._silent_since: float | None = None
        self._count = 0

    def live(self) -> int:
        """Jobs that hold a place in the queue."""
        return sum(1 for job in self.jobs if job.gone_at is None)

    def submit(self, requests: list[LaunchRequest], shared: bool) -> None:
        """Write the job's script and submit it; ``orders`` share one node count."""
        self._count += 1
        folder = Path(self.setup.folder) / f"{self.name}-job{self._count:03d}"
        folder.mkdir(parents=True)
        slots = min(sum(o.cores for o in requests), max(self.given.payload_cores, *(o.cores for o in requests)))
        longest = max(request.walltime for request in requests)
        walltime = max(longest, sum(o.walltime * o.cores for o in requests) / slots) + 60 if shared else longest
        first = requests[0]
        asked = self.kind.walltime(first.queue, first.nodes, walltime + KILL_MARGIN)
        walltime = min(walltime, asked - KILL_MARGIN)
        job = Job(f"ex-{self._count}", folder, requests, shared, slots, walltime)
        cores = self.given.payload_cores if self.given.spec.exclusive else slots
        place = Place(first.nodes, cores, self.given.inner)
        script = (
            shared_script(folder, requests, slots, self.setup, place)
            if shared
            else own_script(folder, first, self.setup, place)
        )
        path = folder / "job.sh"
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)
        spec = JobSpec(job.name, path, folder / "job.out", first.nodes, asked, first.queue, first.account, slots)
        job.submitted = time.time()
        self.jobs.append(job)
        self._command(self.kind.submit_argv(spec), lambda done: self._submitted(job, done))

    def tick(self) -> None:
        """Collect what has landed, and ask the scheduler once an interval."""
        now = time.time()
        for job in self.jobs:
            if job.job_id is not None:
                self._collect(job)
                self._enforce(job, now)
        self.jobs = [job for job in self.jobs if len(job.landed) < len(job.requests) or job.gone_at is None]
        ids = [job.job_id for job in self.jobs if job.job_id is not None and job.gone_at is None]
        if ids and not self._querying and now >= self._next_query:
            self._querying = True
            self._next_query = now + self.interval
            self._command(self.kind.status_argv(ids), lambda done: self._answered(set(ids), done))

    def cancel_all(self) -> None:
        """Cancel every live job; their cases land as cancelled."""
        ids = [job.job_id for job in self.jobs if job.job_id is not None and job.gone_at is None]
        for job in self.jobs:
            job.cancel_ending = job.cancel_ending or "cancelled"
        if ids:
            self._command(self.kind.cancel_argv(ids), lambda done: None)

    def abandon(self) -> None:
        """Land what is still open as cancelled, without waiting for the scheduler."""
        for job in self.jobs:
            self._finish_rest(job, "cancelled", "the run was stopped")
        self.jobs.clear()

    def live_ids(self) -> list[str]:
        return [job.job_id for job in self.jobs if job.job_id is not None and job.gone_at is None]

    # -- what comes back ---------------------------------------------------------------------------------------------

    def _submitted(self, job: Job, done: Finished) -> None:
        try:
            job.job_id = self.kind.parse_submit(done)
        except CommandFailed as refused:
            job.gone_at = time.time()
            self._finish_rest(job, "refused", str(refused))
            return
        for request in job.requests:
            self.send(Event(case_id=request.case_id, what="submitted", detail=job.job_id))
        if job.cancel_ending:
            self._command(self.kind.cancel_argv([job.job_id]), lambda done: None)

    def _answered(self, asked: set[str], done: Finished) -> None:
        self._querying = False
        try:
            statuses = self.kind.parse_status(done)
        except CommandFailed as silent:
            now = time.time()
            self._silent_since = self._silent_since or now
            if now - self._silent_since >= self.unreachable_after:
                for job in self.jobs:
                    job.gone_at = job.gone_at or now
                    self._finish_rest(job, "unreachable", str(silent))
            return
        self._silent_since = None
        # Asked for several jobs, the qstat of OpenPBS 23.06 tells of the first alone: ask for each other by itself.
        untold = sorted(asked - set(statuses)) if len(asked) > 1 else []
        for number in untold:
            self._command(self.kind.status_argv([number]), partial(self._answered, {number}))
        for job in self.jobs:
            if job.job_id in asked and job.job_id not in untold and job.gone_at is None:
                self._update(job, statuses.get(job.job_id))

    def _update(self, job: Job, status: JobStatus | None) -> None:
        now = time.time()
        if status is None:
            job.gone_at = now
            return
        if status.state is JobState.RUNNING and job.first_seen_running is None:
            job.first_seen_running = now
        self._collect(job)
        has_run = job.first_seen_running is not None or bool(job.begun)
        if status.state is JobState.QUEUED and has_run and job.cancel_ending is None:
            assert job.job_id is not None
            job.cancel_ending = "preempted"
            said = " ".join(part for part in (status.native_state, status.reason) if part)
            job.cancelled_for = f"job {job.job_id} had run and is back in the queue: {said}"
            self._command(self.kind.cancel_argv([job.job_id]), lambda done: None)
        if job.status is None or job.status.native_state != status.native_state:
            for request in job.requests:
                self.send(Event(case_id=request.case_id, what=status.state.value, detail=status.reason or ""))
        job.status = status
        if status.state.ended:
            job.gone_at = now

    def _enforce(self, job: Job, now: float) -> None:
        assert job.job_id is not None
        if job.gone_at is not None:
            if now - job.gone_at >= self.grace:
                self._finish_rest(job, *self._why_ended(job))
            return
        ending = None
        if job.first_seen_running is None and now - job.submitted > job.requests[0].queue_wait:
            ending = "queue-wait"
        elif job.first_seen_running is not None and now - job.first_seen_running > job.walltime + KILL_MARGIN + (
            SHARED_MARGIN if job.shared else 0.0
        ):
            ending = "timeout"
        if ending and job.cancel_ending is None:
            job.cancel_ending = ending
            self._command(self.kind.cancel_argv([job.job_id]), lambda done: None)

    def _why_ended(self, job: Job) -> tuple[str, str]:
        status = job.status
        if job.cancel_ending:
            return job.cancel_ending, job.cancelled_for or f"job {job.job_id} was cancelled by the harness"
        if status is None or not status.state.ended:
            return "vanished", f"job {job.job_id} left the queue without a final state or a result"
        if status.state is JobState.TIMEOUT:
            return "timeout", f"job {job.job_id} ended as {status.native_state}"
        if status.state in (JobState.NODE_FAIL, JobState.PREEMPTED):
            return status.state.value, f"job {job.job_id} ended as {status.native_state} {status.reason or ''}".rstrip()
        return "job-ended", f"job {job.job_id} ended as {status.native_state} before the case had a result"

    # -- files --------------------------------------------------------------------------------------------------------

    def _collect(self, job: Job) -> None:
        for index, request in enumerate(job.requests):
            if index not in job.begun and (job.folder / f"{index}.started").exists():
                job.begun.add(index)
                self.send(Event(case_id=request.case_id, what="started", detail=job.job_id or ""))
            if index not in job.landed and (job.folder / f"{index}.json").exists() and self._told(job):
                job.landed.add(index)
                self.send(job.read(index))

    def _told(self, job: Job) -> bool:
        """Whether the scheduler has said when the job started, or has had its time to: a result may outrun a query."""
        now = time.time()
        job.first_result = job.first_result or now
        started = job.status is not None and job.status.started is not None
        return started or job.gone_at is not None or now - job.first_result >= self.grace

    def _finish_rest(self, job: Job, ending: str, detail: str) -> None:
        self._collect(job)
        said = tail(job.folder / "job.out")
        for index, request in enumerate(job.requests):
            if index not in job.landed:
                job.landed.add(index)
                self.send(
                    attempt_finished(
                        request,
                        ending,
                        tail=said,
                        detail=detail,
                        timing=job.timing(None, None),
                        **job.native(),
                    )
                )

    def _command(self, argv: list[str], then: Callable[[Finished], None]) -> None:
        def done(ended: ProcessEnd) -> None:
            code = ended.exit_code if ended.ending == "exited" else None
            if ended.ending == "unstarted":
                code = 127
            then(
                Finished(
                    tuple(argv),
                    code,
                    ended.stdout.decode(errors="replace"),
                    (ended.detail or ended.stderr.decode(errors="replace")),
                )
            )

        self.processes.spawn(f"command {argv[0]}", argv, self.given.env, self.setup.folder, COMMAND_LIMIT, done)
