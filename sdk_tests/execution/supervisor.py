"""The supervisor process: starts everything as soon as the limits admit it, and reports each end.

A process of its own, because launching from a program that also runs tests races their changes to the environment, and
because the end of its input pipe is the one signal that survives any death of the harness: then every process group is
killed and every batch job cancelled.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dashboard_client.schema import Span, Timing
from sdk_tests.execution.batch import Batch
from sdk_tests.execution.leftover_jobs import LeftoverJobs
from sdk_tests.execution.messages import (
    CleanupFailed,
    Event,
    LaunchRequest,
    Message,
    Setup,
    Stop,
    SupervisorStopped,
    attempt_finished,
    instruction,
    line,
)
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.model.timestamps import utc
from sdk_tests.schedulers import JobSpec, SchedulerKind
from sdk_tests.schedulers.registry import kinds

STOP_LIMIT = 10.0
"""Seconds a stop may take before what is left is abandoned and killed."""


class Supervisor:
    """Admission, the processes beside the scheduler, and the batch jobs of each scheduler."""

    def __init__(self, setup: Setup, processes: ProcessTable, out: int) -> None:
        self.setup, self.processes = setup, processes
        self._out, self._outgoing = out, bytearray()
        os.set_blocking(out, False)
        self.kinds: dict[str, SchedulerKind] = {}
        self.batches: dict[str, Batch] = {}
        self.leftover_jobs: dict[str, LeftoverJobs] = {}
        known = kinds()
        for name, given in setup.schedulers.items():
            kind = known[given.spec.kind](given.spec, given.env)
            self.kinds[name] = kind
            if kind.batch:
                self.batches[name] = Batch(name, kind, given, setup, processes, self.send)
                self.leftover_jobs[name] = LeftoverJobs(kind, given.env, setup.folder, processes)
        self.pending: list[LaunchRequest] = []
        self.beside: dict[str, LaunchRequest] = {}
        self.stopping: float | None = None

    # -- output, never blocking ---------------------------------------------------------------------------------------

    def send(self, value: Message) -> None:
        self._outgoing += line(value)
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes; the rest waits, watched by the selector."""
        while self._outgoing:
            try:
                sent = os.write(self._out, self._outgoing[: 1 << 16])
            except BlockingIOError:
                break
            except BrokenPipeError:  # the harness is gone; the end of standard input says so too
                self._outgoing.clear()
                break
            del self._outgoing[:sent]
        registered = self._out in self.processes.selector.get_map()
        if self._outgoing and not registered:
            self.processes.selector.register(self._out, selectors.EVENT_WRITE, lambda _: self.flush())
        elif not self._outgoing and registered:
            self.processes.selector.unregister(self._out)

    # -- admission ----------------------------------------------------------------------------------------------------

    def take(self, requests: Iterable[LaunchRequest]) -> None:
        """Queue orders: controls first, then the longest, so that the run ends soonest."""
        self.pending += requests
        self.pending.sort(key=lambda request: (not request.first, -request.walltime))

    def admit(self) -> None:
        """Start whatever the limits admit; each pending order is looked at once."""
        still: list[LaunchRequest] = []
        groups: dict[tuple[str, int], list[LaunchRequest]] = {}
        for request in self.pending:
            batch = self.batches.get(request.scheduler)
            if batch and request.where == "allocation":
                groups.setdefault((request.scheduler, request.nodes), []).append(request)
            elif batch and request.where == "job":
                if self._room(request.scheduler, 1):
                    batch.submit([request], shared=False)
                else:
                    still.append(request)
            elif self._slot(request) and self._room(request.scheduler, self._jobs_of(request)):
                self._start(request)
            else:
                still.append(request)
        for (scheduler, _), requests in groups.items():
            if self._room(scheduler, 1):
                self.batches[scheduler].submit(requests, shared=True)
            else:
                still += requests
        self.pending = still

    def _jobs_of(self, request: LaunchRequest) -> int:
        if request.scheduler not in self.batches:
            return 0
        return max(1, request.jobs) if request.where == "control" else request.jobs

    def _room(self, scheduler: str, jobs: int) -> bool:
        batch = self.batches.get(scheduler)
        if batch is None or jobs == 0:
            return True
        pool = {name for name, other in self.batches.items() if other.within == batch.within}
        used = sum(self.batches[name].live() for name in pool)
        used += sum(self._jobs_of(request) for request in self.beside.values() if request.scheduler in pool)
        used += sum(self.leftover_jobs[name].held for name in pool)
        return used == 0 or used + jobs <= batch.given.spec.max_jobs

    def _slot(self, request: LaunchRequest) -> bool:
        """Whether this machine has room: cores for cases that work here, slots for those that only wait for jobs."""
        if request.scheduler in self.batches:
            waiting = sum(o.cores for o in self.beside.values() if o.scheduler in self.batches)
            return waiting == 0 or waiting + request.cores <= self.setup.login_slots
        used = sum(o.cores for o in self.beside.values() if o.scheduler not in self.batches)
        return used == 0 or used + request.cores <= self.setup.local_cores

    def _start(self, request: LaunchRequest) -> None:
        argv = list(request.argv)
        if request.where == "control":
            spec = JobSpec(
                f"ex-{request.key}"[:40],
                script=Path(request.scratch),
                output=Path(request.scratch),
                nodes=request.nodes,
                walltime=self.kinds[request.scheduler].walltime(request.queue, request.nodes, request.walltime),
                queue=request.queue,
                account=request.account,
            )
            argv = self.kinds[request.scheduler].control_argv(argv, spec)
        self.beside[request.key] = request
        self.send(Event(case_id=request.case_id, what="started"))
        mark = f"{self.setup.mark}/{request.key}"
        env = self.setup.envs[request.env]
        self.processes.spawn(
            request.key, argv, env, request.scratch, request.limit, lambda e: self._ended(request, e), mark=mark
        )

    def _ended(self, request: LaunchRequest, ended: ProcessEnd) -> None:
        del self.beside[request.key]
        clean = ended.ending == "exited" and ended.exit_code == 0
        if request.scheduler in self.leftover_jobs:
            self.leftover_jobs[request.scheduler].hold(request.scratch, self._jobs_of(request))
            if request.where == "login" and not clean:
                self.leftover_jobs[request.scheduler].seek(request.scratch)
        self.send(
            attempt_finished(
                request,
                ended.ending,
                stdout=ended.stdout,
                stdout_bytes=ended.stdout_bytes,
                exit_code=ended.exit_code,
                signal=ended.signal,
                tail=ended.stderr.decode(errors="replace"),
                detail=ended.detail,
                leftovers=ended.leftovers,
                timing=Timing(
                    submitted=utc(ended.started),
                    started=utc(ended.started),
                    ended=utc(ended.ended),
                    run=Span(seconds=round(ended.ended - ended.started, 6), source="harness"),
                ),
            )
        )

    # -- the loop -----------------------------------------------------------------------------------------------------

    def busy(self) -> bool:
        return bool(self.beside or len(self.processes) or any(batch.jobs for batch in self.batches.values()))

    def step(self) -> None:
        for batch in self.batches.values():
            batch.tick()
        for leftover_jobs in self.leftover_jobs.values():
            leftover_jobs.tick()
        if self.stopping is None:
            self.admit()
        interval = min((b.interval for b in self.batches.values() if b.jobs), default=1.0)
        self.processes.poll(min(interval, 1.0))

    def stop(self) -> None:
        """Cancel everything; what was not started lands as cancelled at once."""
        self.stopping = time.monotonic()
        for request in self.pending:
            self.send(attempt_finished(request, "cancelled", detail="the run was stopped before this case started"))
        self.pending.clear()
        for key in list(self.beside):
            self.processes.cancel(key)
        for batch in self.batches.values():
            batch.cancel_all()

    def leave(self) -> None:
        """Kill at once what is left, jobs included, and say what could not be cleared away."""
        running = list(self.beside.values())
        self.processes.kill_all()
        for name, batch in self.batches.items():
            ids = batch.live_ids()
            batch.abandon()
            scratches = [request.scratch for request in running if request.scheduler == name]
            failed = self.leftover_jobs[name].clear(ids, scratches)
            if failed is not None:
                self.send(CleanupFailed(scheduler=name, detail=failed))
        os.set_blocking(self._out, True)
        self.flush()


def main() -> None:
    """Read instructions from standard input until it ends; write messages to standard output."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    processes = ProcessTable()
    incoming = bytearray()
    inbox: list[bytes] = []
    ended = False

    def read(fd: Any) -> None:
        nonlocal ended
        chunk = os.read(fd, 1 << 20)
        if not chunk:
            ended = True
            processes.selector.unregister(fd)
            return
        incoming.extend(chunk)
        *lines, rest = incoming.split(b"\n")
        incoming[:] = rest
        inbox.extend(bytes(text) for text in lines)

    def terminated(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, terminated)
    processes.selector.register(0, selectors.EVENT_READ, read)
    supervisor: Supervisor | None = None
    while True:
        taken, inbox[:] = list(inbox), []
        requests = []
        for text in taken:
            given = instruction(text)
            if isinstance(given, Setup):
                supervisor = Supervisor(given, processes, out)
            elif isinstance(given, LaunchRequest):
                requests.append(given)
            elif isinstance(given, Stop) and supervisor:
                supervisor.take(requests)
                requests = []
                supervisor.stop()
        if supervisor:
            if ended:
                supervisor.leave()
                return
            supervisor.take(requests)
            supervisor.step()
            if supervisor.stopping is not None:
                late = time.monotonic() - supervisor.stopping > STOP_LIMIT
                if late or not supervisor.busy():
                    supervisor.leave()
                    supervisor.send(SupervisorStopped())
                    return
        elif ended:
            return
        else:
            processes.poll(1.0)


if __name__ == "__main__":
    main()
