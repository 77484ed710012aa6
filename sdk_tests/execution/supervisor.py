"""The supervisor process: starts every attempt as soon as the limits admit it, and reports how each ended.

It is a process of its own for two reasons. Launching from a program that also runs tests would race with the tests'
changes to the environment. And the end of its input pipe is the one signal that survives any death of the harness: then
it kills every process group and cancels every batch job.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dashboard_client.schema import Span, Timing
from sdk_tests.execution import temporary_folder
from sdk_tests.execution.batch import Batch
from sdk_tests.execution.core_budget import CoreBudget
from sdk_tests.execution.guests import Guests
from sdk_tests.execution.leftover_jobs import LeftoverJobs, clear
from sdk_tests.execution.marked_processes import kill_marked
from sdk_tests.execution.messages import (
    CleanupFailed,
    Event,
    GiveUp,
    Hold,
    LaunchRequest,
    Message,
    Release,
    Setup,
    Stop,
    SupervisorStopped,
    attempt_finished,
    instruction,
    line,
)
from sdk_tests.execution.pending import PendingRequests
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.model.timestamps import utc
from sdk_tests.schedulers import JobSpec, SchedulerKind
from sdk_tests.schedulers.registry import kinds

STOP_LIMIT = 10.0
"""Seconds that a stop may take before what still runs is killed."""
CLEAR_LIMIT = 40.0
"""Seconds in which the jobs of all schedulers must have left their queues at the end, or they are reported."""
GIVE_UP_LIMIT = 60.0
"""Seconds that the cases on a scheduler may still run after its control has failed."""
OVERCOMMIT = 2
"""Cases of this machine's own kind of work run at once, per core: most of them wait for most of their time."""


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
                self.batches[name] = Batch(name, kind, given, setup, processes, self.send, self._relaunch)
                self.leftover_jobs[name] = LeftoverJobs(kind, given.env, setup.folder, processes)
        self.pending = PendingRequests(self._shares)
        self._cores = CoreBudget(self._budget) if setup.shared_cores else None
        self._waits_for_cores = False
        self.beside: dict[str, LaunchRequest] = {}
        self.guests = Guests(self)
        self._controls = 0
        self.given_up: dict[str, tuple[float, str]] = {}
        """Schedulers whose control failed: monotonic seconds until which their cases may run, and the reason."""
        self.held = False
        """Whether more requests follow, so that nothing is started yet."""
        self.stopping: float | None = None
        self._works: set[str] = set()
        """The folder that contains the scratch folders of the attempts, as soon as a request has named it."""

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
        requests = list(requests)
        self.pending.add(requests)
        self._works.update(os.path.dirname(request.scratch) for request in requests)  # noqa: PTH120

    def _relaunch(self, requests: list[LaunchRequest], reason: str) -> None:
        """Queue requests again that did not start in their allocation, because it could not be used to its end."""
        for request in requests:
            self.send(Event(case_id=request.case_id, what="relaunch", detail=reason))
        self.take(requests)

    def _shares(self, request: LaunchRequest) -> bool:
        return request.scheduler in self.batches and request.where == "allocation" and not request.alone

    def _admit(self, requests: Sequence[LaunchRequest]) -> bool:
        """Start one request, or those that share an allocation, if the limits admit it; return whether they do."""
        request = requests[0]
        batch = self.batches.get(request.scheduler)
        if batch and request.where in ("allocation", "job"):
            cost = max(self._cost(each) for each in requests)
            admitted = self._room(request.scheduler, 1) and self._machine_has_room(request.scheduler, cost)
            if admitted:
                batch.submit(list(requests), shared=self._shares(request))
            return admitted
        if request.fixture is not None:
            return self.guests.admit(request, request.fixture)
        admitted = self.has_room(request)
        if admitted:
            self.start(request)
        return admitted

    def has_room(self, request: LaunchRequest) -> bool:
        """Return whether the limits admit one more process beside the schedulers."""
        return (
            self._slot(request)
            and self._room(request.scheduler, self.jobs_of(request))
            and self._machine_has_room(request.scheduler, self._cost(request))
        )

    def _cost(self, request: LaunchRequest) -> int:
        return self._budget if request.alone else request.cores

    @property
    def _budget(self) -> int:
        return OVERCOMMIT * max(1, self.setup.machine_cores)

    def _runs_here(self, scheduler: str) -> bool:
        """Return whether the work of a scheduler's cases is done on this machine."""
        return scheduler not in self.batches or self.setup.schedulers[scheduler].testbed

    def _machine_has_room(self, scheduler: str, cost: int) -> bool:
        """Return whether this machine has cores for more work, whichever scheduler it comes from."""
        if not self._runs_here(scheduler):
            return True
        used = self._used_here()
        if used != 0 and used + cost > self._budget:
            return False
        if self._cores is None or self._cores.raise_to(used + cost):
            return True
        self._waits_for_cores = True
        return False

    def _used_here(self) -> int:
        """Return how many cores the work of this run on this machine has, as its requests state."""
        used = sum(self._cost(request) for request in self.beside.values() if self._runs_here(request.scheduler))
        for name, batch in self.batches.items():
            if self._runs_here(name):
                used += sum(
                    max(job.slots, *(self._cost(request) for request in job.requests))
                    for job in batch.jobs
                    if job.open and job.in_queue
                )
        return used

    def jobs_of(self, request: LaunchRequest) -> int:
        """Return how many places in the queue a process beside the schedulers needs."""
        if request.scheduler not in self.batches:
            return 0
        return max(1, request.jobs) if request.where == "control" else request.jobs

    def _room(self, scheduler: str, jobs: int) -> bool:
        """Return whether the site's limit of jobs in the queue admits so many more."""
        batch = self.batches.get(scheduler)
        if batch is None or jobs == 0:
            return True
        pool = {name for name, other in self.batches.items() if other.within == batch.within}
        used = sum(self.batches[name].live() for name in pool)
        used += sum(self.jobs_of(request) for request in self.beside.values() if request.scheduler in pool)
        used += sum(self.leftover_jobs[name].held for name in pool)
        return used == 0 or used + jobs <= batch.given.spec.max_jobs

    def _slot(self, request: LaunchRequest) -> bool:
        """Return whether the site file's limits for this node admit one more process beside the schedulers."""
        if request.scheduler in self.batches:
            waiting = sum(r.cores for r in self.beside.values() if r.scheduler in self.batches)
            return waiting == 0 or waiting + request.cores <= self.setup.login_slots
        used = sum(r.cores for r in self.beside.values() if r.scheduler not in self.batches)
        return used == 0 or used + request.cores <= self.setup.local_cores

    def payload_env(self, request: LaunchRequest, mark: str) -> dict[str, str]:
        """Return the environment of a payload, with a folder of its own for temporary files."""
        env = self.setup.envs[request.env]
        temporary = temporary_folder.create(request.scratch, mark, self._runs_here(request.scheduler))
        return env if temporary is None else {**env, temporary_folder.VARIABLE: temporary}

    def start(self, request: LaunchRequest, enter: Sequence[str] = (), fixture_began: float | None = None) -> None:
        """Start a process beside the scheduler.

        enter, fixture_began: of a case in a fixture, what runs its command there, and when the fixture was started.
        """
        argv = list(request.argv)
        if request.where == "control":
            self._controls += 1
            kind = self.kinds[request.scheduler]
            spec = JobSpec(
                f"ex-c{self._controls}-{self.setup.job_token}",
                script=Path(request.scratch),
                output=Path(request.scratch),
                nodes=request.nodes,
                walltime=kind.walltime(request.queue, request.nodes, request.walltime),
                queue=request.queue,
                account=request.account,
            )
            try:
                argv = kind.control_argv(argv, spec)
            except Exception as error:  # noqa: BLE001  # a defect of a scheduler kind costs its own case, not the run
                detail = f"the harness failed on the control: {type(error).__name__}: {error}"
                self.send(attempt_finished(request, "harness-error", detail=detail))
                return
        self.beside[request.key] = request
        self.send(Event(case_id=request.case_id, what="started"))
        mark = f"{self.setup.mark}/{request.key}"
        env = self.payload_env(request, mark)
        done = partial(self._ended, request, tuple(argv), fixture_began)
        self.processes.spawn(request.key, [*enter, *argv], env, request.scratch, request.limit, done, mark=mark)

    def _ended(
        self, request: LaunchRequest, argv: tuple[str, ...], fixture_began: float | None, end: ProcessEnd
    ) -> None:
        del self.beside[request.key]
        temporary_folder.remove(f"{self.setup.mark}/{request.key}")
        clean = end.ending == "exited" and end.exit_code == 0
        if request.fixture is not None:
            self.guests.fixtures.leave(request.fixture.name, clean)
        if request.scheduler in self.leftover_jobs:
            self.leftover_jobs[request.scheduler].hold(request.scratch, self.jobs_of(request))
            if request.where in ("login", "control") and not clean:
                self.leftover_jobs[request.scheduler].seek(request.scratch)
        self.send(
            attempt_finished(
                request,
                end.ending,
                stdout=end.stdout,
                stdout_bytes=end.stdout_bytes,
                exit_code=end.exit_code,
                signal=end.signal,
                tail=end.stderr.decode(errors="replace"),
                detail=end.detail,
                orphan_processes=end.orphan_processes,
                argv=argv,
                submit_command=argv if request.where == "control" else (),
                starved=end.starved,
                fixture=request.fixture.name if request.fixture else "",
                timing=Timing(
                    submitted=utc(end.started if fixture_began is None else fixture_began),
                    started=utc(end.started),
                    ended=utc(end.ended),
                    run=Span(seconds=round(end.ended - end.started, 6), source="harness"),
                ),
            )
        )

    # -- schedulers that are given up ---------------------------------------------------------------------------------

    def give_up(self, given: GiveUp) -> None:
        """Start nothing more on a scheduler whose control failed; what runs on it has ``GIVE_UP_LIMIT`` seconds."""
        self.given_up.setdefault(given.scheduler, (time.monotonic() + GIVE_UP_LIMIT, given.reason))

    def _end_given_up(self) -> None:
        for scheduler, (deadline, reason) in self.given_up.items():
            for request in self.pending.remove(scheduler):
                self.send(attempt_finished(request, "control-failed", detail=reason))
            if time.monotonic() < deadline:
                continue
            for key, request in list(self.beside.items()):
                if request.scheduler == scheduler:
                    self.processes.cancel(key, "control-failed")
            if scheduler in self.batches:
                self.batches[scheduler].cancel_all("control-failed", reason)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def busy(self) -> bool:
        return bool(self.beside or len(self.processes) or any(batch.jobs for batch in self.batches.values()))

    def step(self) -> None:
        for batch in self.batches.values():
            batch.tick()
        for leftover_jobs in self.leftover_jobs.values():
            leftover_jobs.tick()
        self._end_given_up()
        self.guests.tick()
        if self._cores is not None:
            self._cores.lower_to(self._used_here())
        self._waits_for_cores = False
        if self.stopping is None and not self.held:
            self.pending.start(self._admit)
        if self._cores is not None and not self._waits_for_cores:
            self._cores.leave_turn()
        interval = min((b.interval for b in self.batches.values() if b.jobs), default=1.0)
        self.processes.poll(min(interval, 1.0))

    def stop(self) -> None:
        """Cancel everything; what was not started ends as cancelled at once."""
        self.stopping = time.monotonic()
        for request in self.pending.remove():
            self.send(attempt_finished(request, "cancelled", detail="the run was stopped before this case started"))
        for key in list(self.beside):
            self.processes.cancel(key)
        for batch in self.batches.values():
            batch.cancel_all()

    def leave(self) -> None:
        """Kill at once what still runs, jobs included, and report the jobs that may still be in a queue."""
        running = list(self.beside.values())
        self.processes.kill_all()
        limit = max(5.0, CLEAR_LIMIT / max(1, len(self.batches)))
        for name, batch in self.batches.items():
            ids = batch.live_ids()
            in_doubt = batch.live() > len(ids) or any(r.scheduler == name and r.where == "control" for r in running)
            batch.abandon(stopped=self.stopping is not None)
            scratches = [request.scratch for request in running if request.scheduler == name]
            scratches += self.leftover_jobs[name].sought
            if not ids and not scratches and not in_doubt:
                continue
            kind, env = self.kinds[name], self.setup.schedulers[name].env
            left = clear(kind, env, ids, scratches, self.setup.job_token if in_doubt else "", limit=limit)
            if left is not None:
                self.send(CleanupFailed(scheduler=name, detail=left[0], command=left[1]))
        for work in self._works:  # jobs of a testbed ran on this machine, and no scheduler ends what they have left
            kill_marked(f"{self.setup.mark}/", work)
        # Not earlier: a process whose folder is gone would create its files in /tmp.
        temporary_folder.remove_all(self.setup.mark)
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
            elif isinstance(given, (Hold, Release)) and supervisor:
                supervisor.held = isinstance(given, Hold)
            elif isinstance(given, GiveUp) and supervisor:
                supervisor.give_up(given)
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
