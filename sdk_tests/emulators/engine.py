"""The daemon of an emulated scheduler: accepts requests on a socket in its folder, runs jobs, and enforces limits.

``cluster.json`` beside the socket describes nodes and queues. Each connection carries one request and one answer, both
JSON objects. While the engine simulates a scheduler that is down, the socket does not exist and the jobs continue, as
they do under the node daemons of a real scheduler.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sdk_tests.emulators import work
from sdk_tests.emulators.cluster import HAS_NODES, WAITING, Cluster, Job, from_configuration

SOCKET = "engine.sock"
CONFIGURATION = "cluster.json"


class Engine:
    """One emulated scheduler. ``dialect`` defines the variables of a job, the signals that end it, and its log."""

    def __init__(self, folder: str, cluster: Cluster, dialect: ModuleType) -> None:
        self.folder, self.cluster, self.dialect = folder, cluster, dialect
        self.children: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.selector = selectors.DefaultSelector()
        self.listener: socket.socket | None = None
        self.running = True
        wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT):  # a handler is not inherited, an ignored SIGINT would be
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self.selector.register(wake, selectors.EVENT_READ, lambda: self._drain(wake))
        self.listen()

    def _stop(self, *_: object) -> None:
        self.running = False

    def listen(self) -> None:
        """Open the socket. Its path is relative to the folder, since the path of a socket is limited to 108 bytes."""
        self.close_socket()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(SOCKET)
        Path(SOCKET).chmod(0o600)
        listener.listen(64)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, self._accept)
        self.listener = listener

    def close_socket(self) -> None:
        """Close the socket, so that the scheduler appears to be down."""
        if self.listener is not None:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None
        Path(SOCKET).unlink(missing_ok=True)

    def run(self) -> None:
        """Process requests, timers and ended jobs until SIGTERM, then kill every job."""
        while self.running:
            now = time.monotonic()
            next_timer = min((due for due, _ in self.timers), default=now + 60.0)
            for key, _ in self.selector.select(max(0.0, min(60.0, next_timer - now))):
                key.data()
            self._reap()
            now = time.monotonic()
            callbacks = [callback for due, callback in self.timers if due <= now]
            self.timers = [(due, callback) for due, callback in self.timers if due > now]
            for callback in callbacks:
                callback()
            self._schedule()
        for job, _ in self.children.values():
            work.kill(job, self.folder)

    def call_after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call a function after this number of seconds."""
        self.timers.append((time.monotonic() + seconds, callback))

    # -- requests -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self.listener is not None
        with contextlib.suppress(OSError, ValueError):
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(5.0)
                with connection.makefile("rwb") as stream:
                    request = json.loads(stream.readline())
                    answer = getattr(self, f"do_{request.pop('op')}")(**request)
                    stream.write(json.dumps(answer).encode() + b"\n")

    def do_submit(self, indices: list[int] | None = None, **given: Any) -> dict[str, Any]:
        """Accept a job, or an array with an element for each index; each element counts as a job."""
        cluster = self.cluster
        given["queue"] = given.get("queue") or cluster.default_queue
        first = cluster.last + 1
        jobs = []
        for count, index in enumerate(indices or [0]):
            lines = {**given.get("lines", {}), **({"array": first, "index": index} if indices else {})}
            job = Job(number=first + count, submitted=time.time(), queued=time.time(), **{**given, "lines": lines})
            job.exclusive = job.exclusive or cluster.exclusive
            jobs.append(job)
        refusal = cluster.refusal(jobs[0], len(jobs))
        if refusal is not None:
            return {"refused": refusal[0], "limit": refusal[1], "queue": jobs[0].queue}
        for job in jobs:
            cluster.last = job.number
            if cluster.holding:
                job.state, job.reason = "held", "system"
            cluster.jobs[job.number] = job
            self.dialect.accepted(cluster, job)
            if job.not_before > time.time():
                self.call_after(job.not_before - time.time(), lambda: None)  # ``run`` schedules after it
        self._schedule()
        return {"number": first, "queue": jobs[0].queue}

    def do_jobs(self, numbers: list[int] | None = None) -> list[dict[str, Any]]:
        jobs = self.cluster.jobs
        selected = jobs.values() if numbers is None else [jobs[number] for number in numbers if number in jobs]
        return [job.as_dict() for job in selected]

    def do_cancel(self, numbers: list[int]) -> dict[str, str]:
        """Cancel jobs. Return for each number ``ended`` (it is ending now), ``done`` (it had ended) or ``unknown``."""
        results = {}
        for number in numbers:
            job = self.cluster.jobs.get(number)
            results[str(number)] = "unknown" if job is None else "done" if job.state == "done" else "ended"
            if job is not None:
                self.end(job, "user")
        return results

    def do_release(self, numbers: list[int]) -> None:
        """End what holds these jobs, also a fault."""
        for job in self.cluster.jobs.values():
            if job.number in numbers and job.state == "held":
                job.state, job.reason, job.user_hold = "queued", None, False
        self._schedule()

    def do_hold_jobs(self, numbers: list[int], on: bool) -> None:
        """Hold waiting jobs and stop running ones for their user, or let them go on."""
        for job in (self.cluster.jobs[number] for number in numbers):
            if job.state in WAITING:
                job.user_hold = on
            elif job.state == "running":
                work.send(job, signal.SIGSTOP if on else signal.SIGCONT, self.folder)
                job.lines["stopped"] = on
        self._schedule()

    def do_signal(self, numbers: list[int], number: int) -> None:
        """Send a signal to the processes of running jobs."""
        for job in (self.cluster.jobs[each] for each in numbers):
            self._signal(job, number)

    def do_forget(self, numbers: list[int]) -> None:
        """Remove ended jobs from the history."""
        for number in numbers:
            if self.cluster.jobs[number].state == "done":
                del self.cluster.jobs[number]

    def do_cluster(self) -> dict[str, Any]:
        cluster = self.cluster
        return {
            "host": cluster.host,
            "default_queue": cluster.default_queue,
            "exclusive": cluster.exclusive,
            "resources": cluster.resources,
            "required": cluster.required,
            "nodes": [{**vars(node), "free": cluster.free_cores(node)} for node in cluster.nodes],
            "queues": [
                {
                    **vars(queue),
                    "waiting": sum(1 for job in cluster.unfinished(queue) if job.state in WAITING),
                    "running": sum(1 for job in cluster.unfinished(queue) if job.state in HAS_NODES),
                }
                for queue in cluster.queues
            ],
        }

    # -- faults -------------------------------------------------------------------------------------------------------

    def do_refuse(self, message: str | None) -> None:
        """Refuse every submission with this message. None ends the fault."""
        self.cluster.refusing = message

    def do_hold(self, on: bool) -> None:
        """Hold every newly submitted job, or stop doing so."""
        self.cluster.holding = on

    def do_down(self, seconds: float) -> None:
        """Answer no requests for this number of seconds."""
        self.call_after(0.0, self.close_socket)
        self.call_after(seconds, self.listen)

    def do_node(self, name: str, seconds: float = 1.0) -> None:
        """Let a node die with all its jobs. It is up again, without these jobs, after this number of seconds."""
        node = next(node for node in self.cluster.nodes if node.name == name)
        node.up = False
        lost = [job for job in self.cluster.jobs.values() if job.state == "running" and name in job.hosts]
        for job in lost:
            job.state = "lost"
            work.kill(job, self.folder)

        def back() -> None:
            node.up = True
            for job in lost:
                self._ended(job, None, None, "node")

        self.call_after(seconds, back)

    def do_requeue(self, number: int) -> None:
        """Take the nodes of a running job away and return it to the queue, held until it is released."""
        job = self.cluster.jobs[number]
        child = next((pid for pid, (owner, _) in self.children.items() if owner is job), None)
        work.kill(job, self.folder)
        if child is not None:
            self.children.pop(child)[1].wait()
        job.state, job.reason, job.hosts, job.started, job.pid = "held", "requeued", [], None, None
        job.queued = time.time()

    def do_expire(self, number: int) -> None:
        """Let the walltime of a job expire now."""
        self.end(self.cluster.jobs[number], "walltime")

    def do_vanish(self, number: int) -> None:
        """Forget a job and its history, and kill its processes without recording its end."""
        job = self.cluster.jobs.pop(number)
        job.state = "done"  # so that _reap does not record its end
        self.dialect.forgotten(self.cluster, job)
        work.kill(job, self.folder)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        for job in list(self.cluster.jobs.values()):
            if job.state in WAITING and not self.cluster.hold_or_queue(job) and self.dialect.DELETES_HOPELESS:
                self._ended(job, None, None, "dependency")
        for job in self.cluster.start_jobs():
            job.started, job.runs = time.time(), job.runs + 1
            try:
                env = {**job.env, **self.dialect.variables(self.cluster, job)}
                process = work.start(job, env, self.folder, spools=self.dialect.SPOOLS)
            except OSError as error:
                job.reason = str(error)
                self._ended(job, 127, None, None)
                continue
            job.pid = process.pid
            self.children[process.pid] = (job, process)
            self.call_after(job.walltime, lambda job=job, run=job.runs: self._expire(job, run))  # type: ignore[misc]

    def _expire(self, job: Job, run: int) -> None:
        """End a job at its walltime, unless it has been requeued and started again since."""
        if job.runs == run:
            self.end(job, "walltime")

    def end(self, job: Job, by: str) -> None:
        """End a waiting job at once, and a running job with the signals of its dialect, one after the other."""
        if job.state in WAITING:
            self._ended(job, None, None, by)
        elif job.state in HAS_NODES and not job.ending:
            job.ending, job.ended_by = True, by
            self.dialect.ending(self.cluster, job)
            for step, number in enumerate((*self.dialect.signals(by), signal.SIGKILL)):
                delay = step * self.cluster.kill_delay
                self.call_after(delay, lambda number=number: self._signal(job, number))  # type: ignore[misc]

    def _signal(self, job: Job, number: int) -> None:
        if job.state == "running":
            work.send(job, number, self.folder)

    def _reap(self) -> None:
        for pid, (job, process) in list(self.children.items()):
            code = process.poll()
            if code is None:
                continue
            del self.children[pid]
            work.kill(job, self.folder)
            if job.state == "running":
                self._ended(job, code if code >= 0 else None, -code if code < 0 else None, job.ended_by)

    def _ended(self, job: Job, code: int | None, number: int | None, by: str | None) -> None:
        job.state, job.ended, job.exit_code, job.signal, job.ended_by = "done", time.time(), code, number, by
        self.dialect.ended(self.cluster, job)
        report = getattr(self.dialect, "late_report", None)
        if report is not None:  # of a dialect that writes a file for the user some time after the end of the job
            self.call_after(self.dialect.REPORT_DELAY, lambda: report(self.cluster, job))

    def _drain(self, wake: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(wake, 4096):
                pass


def serve(folder: str, dialect: ModuleType) -> None:
    """Run the engine of the scheduler in ``folder`` until SIGTERM, then kill every job."""
    os.chdir(folder)
    cluster = from_configuration(json.loads(Path(CONFIGURATION).read_text(encoding="utf-8")))
    for name in ("spool", "nodefiles"):
        Path(name).mkdir(mode=0o700, exist_ok=True)
    engine = Engine(folder, cluster, dialect)
    engine.run()
    engine.close_socket()
