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
from sdk_tests.batch import Batch
from sdk_tests.clock import utc
from sdk_tests.order import Event, Gone, Left, Message, Order, Setup, Stop, instruction, land, line
from sdk_tests.procs import Ended, Procs
from sdk_tests.schedulers import JobSpec, SchedulerKind
from sdk_tests.schedulers.registry import kinds
from sdk_tests.strays import Strays

STOP_LIMIT = 10.0
"""Seconds a stop may take before what is left is abandoned and killed."""


class Supervisor:
    """Admission, the processes beside the scheduler, and the batch jobs of each scheduler."""

    def __init__(self, setup: Setup, procs: Procs, out: int) -> None:
        self.setup, self.procs = setup, procs
        self._out, self._outgoing = out, bytearray()
        os.set_blocking(out, False)
        self.kinds: dict[str, SchedulerKind] = {}
        self.batches: dict[str, Batch] = {}
        self.strays: dict[str, Strays] = {}
        known = kinds()
        for name, given in setup.schedulers.items():
            kind = known[given.spec.kind](given.spec, given.env)
            self.kinds[name] = kind
            if kind.batch:
                self.batches[name] = Batch(name, kind, given, setup, procs, self.say)
                self.strays[name] = Strays(kind, given.env, setup.folder, procs)
        self.pending: list[Order] = []
        self.beside: dict[str, Order] = {}
        self.stopping: float | None = None

    # -- output, never blocking ---------------------------------------------------------------------------------------

    def say(self, value: Message) -> None:
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
        registered = self._out in self.procs.selector.get_map()
        if self._outgoing and not registered:
            self.procs.selector.register(self._out, selectors.EVENT_WRITE, lambda _: self.flush())
        elif not self._outgoing and registered:
            self.procs.selector.unregister(self._out)

    # -- admission ----------------------------------------------------------------------------------------------------

    def take(self, orders: Iterable[Order]) -> None:
        """Queue orders: controls first, then the longest, so that the run ends soonest."""
        self.pending += orders
        self.pending.sort(key=lambda order: (not order.first, -order.walltime))

    def admit(self) -> None:
        """Start whatever the limits admit; each pending order is looked at once."""
        still: list[Order] = []
        groups: dict[tuple[str, int], list[Order]] = {}
        for order in self.pending:
            batch = self.batches.get(order.scheduler)
            if batch and order.where == "allocation":
                groups.setdefault((order.scheduler, order.nodes), []).append(order)
            elif batch and order.where == "job":
                if self._room(order.scheduler, 1):
                    batch.submit([order], shared=False)
                else:
                    still.append(order)
            elif self._slot(order) and self._room(order.scheduler, self._jobs_of(order)):
                self._start(order)
            else:
                still.append(order)
        for (scheduler, _), orders in groups.items():
            if self._room(scheduler, 1):
                self.batches[scheduler].submit(orders, shared=True)
            else:
                still += orders
        self.pending = still

    def _jobs_of(self, order: Order) -> int:
        if order.scheduler not in self.batches:
            return 0
        return max(1, order.jobs) if order.where == "control" else order.jobs

    def _room(self, scheduler: str, jobs: int) -> bool:
        batch = self.batches.get(scheduler)
        if batch is None or jobs == 0:
            return True
        pool = {name for name, other in self.batches.items() if other.within == batch.within}
        used = sum(self.batches[name].live() for name in pool)
        used += sum(self._jobs_of(order) for order in self.beside.values() if order.scheduler in pool)
        used += sum(self.strays[name].held for name in pool)
        return used == 0 or used + jobs <= batch.given.spec.max_jobs

    def _slot(self, order: Order) -> bool:
        """Whether this machine has room: cores for cases that work here, slots for those that only wait for jobs."""
        if order.scheduler in self.batches:
            waiting = sum(o.cores for o in self.beside.values() if o.scheduler in self.batches)
            return waiting == 0 or waiting + order.cores <= self.setup.login_slots
        used = sum(o.cores for o in self.beside.values() if o.scheduler not in self.batches)
        return used == 0 or used + order.cores <= self.setup.local_cores

    def _start(self, order: Order) -> None:
        argv = list(order.argv)
        if order.where == "control":
            spec = JobSpec(
                f"ex-{order.key}"[:40],
                script=Path(order.scratch),
                output=Path(order.scratch),
                nodes=order.nodes,
                walltime=self.kinds[order.scheduler].walltime(order.queue, order.nodes, order.walltime),
                queue=order.queue,
                account=order.account,
            )
            argv = self.kinds[order.scheduler].control_argv(argv, spec)
        self.beside[order.key] = order
        self.say(Event(case_id=order.case_id, what="started"))
        mark = f"{self.setup.mark}/{order.key}"
        env = self.setup.envs[order.env]
        self.procs.spawn(order.key, argv, env, order.scratch, order.limit, lambda e: self._ended(order, e), mark=mark)

    def _ended(self, order: Order, ended: Ended) -> None:
        del self.beside[order.key]
        clean = ended.ending == "exited" and ended.exit_code == 0
        if order.scheduler in self.strays:
            self.strays[order.scheduler].hold(order.scratch, self._jobs_of(order))
            if order.where == "login" and not clean:
                self.strays[order.scheduler].seek(order.scratch)
        self.say(
            land(
                order,
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
        return bool(self.beside or len(self.procs) or any(batch.jobs for batch in self.batches.values()))

    def step(self) -> None:
        for batch in self.batches.values():
            batch.tick()
        for strays in self.strays.values():
            strays.tick()
        if self.stopping is None:
            self.admit()
        interval = min((b.interval for b in self.batches.values() if b.jobs), default=1.0)
        self.procs.poll(min(interval, 1.0))

    def stop(self) -> None:
        """Cancel everything; what was not started lands as cancelled at once."""
        self.stopping = time.monotonic()
        for order in self.pending:
            self.say(land(order, "cancelled", detail="the run was stopped before this case started"))
        self.pending.clear()
        for key in list(self.beside):
            self.procs.cancel(key)
        for batch in self.batches.values():
            batch.cancel_all()

    def leave(self) -> None:
        """Kill at once what is left, jobs included, and say what could not be cleared away."""
        running = list(self.beside.values())
        self.procs.kill_all()
        for name, batch in self.batches.items():
            ids = batch.live_ids()
            batch.abandon()
            scratches = [order.scratch for order in running if order.scheduler == name]
            failed = self.strays[name].clear(ids, scratches)
            if failed is not None:
                self.say(Left(scheduler=name, detail=failed))
        os.set_blocking(self._out, True)
        self.flush()


def main() -> None:
    """Read instructions from standard input until it ends; write messages to standard output."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    procs = Procs()
    incoming = bytearray()
    inbox: list[bytes] = []
    ended = False

    def read(fd: Any) -> None:
        nonlocal ended
        chunk = os.read(fd, 1 << 20)
        if not chunk:
            ended = True
            procs.selector.unregister(fd)
            return
        incoming.extend(chunk)
        *lines, rest = incoming.split(b"\n")
        incoming[:] = rest
        inbox.extend(bytes(text) for text in lines)

    def terminated(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, terminated)
    procs.selector.register(0, selectors.EVENT_READ, read)
    supervisor: Supervisor | None = None
    while True:
        taken, inbox[:] = list(inbox), []
        orders = []
        for text in taken:
            given = instruction(text)
            if isinstance(given, Setup):
                supervisor = Supervisor(given, procs, out)
            elif isinstance(given, Order):
                orders.append(given)
            elif isinstance(given, Stop) and supervisor:
                supervisor.take(orders)
                orders = []
                supervisor.stop()
        if supervisor:
            if ended:
                supervisor.leave()
                return
            supervisor.take(orders)
            supervisor.step()
            if supervisor.stopping is not None:
                late = time.monotonic() - supervisor.stopping > STOP_LIMIT
                if late or not supervisor.busy():
                    supervisor.leave()
                    supervisor.say(Gone())
                    return
        elif ended:
            return
        else:
            procs.poll(1.0)


if __name__ == "__main__":
    main()
