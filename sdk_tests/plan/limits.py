"""What an attempt uses of the limits that the supervisor applies: cores of this machine, places in a queue.

The same rules as in ``execution/supervisor.py``, as values, so that the report can compute how long a run had to take.
"""

from __future__ import annotations

from collections.abc import Collection

from sdk_tests.execution.messages import LaunchRequest, Setup
from sdk_tests.execution.supervisor import OVERCOMMIT
from sdk_tests.model.timeline import Limit

MACHINE = "this machine"
LOCAL = "local cases"
LOGIN = "payloads beside the schedulers"


class Limits:
    """The limits of one run. batch: the schedulers that have a queue."""

    def __init__(self, setup: Setup, batch: Collection[str]) -> None:
        self._setup, self._batch = setup, batch
        self.machine = OVERCOMMIT * max(1, setup.machine_cores)

    def all(self) -> list[Limit]:
        """Return every limit of the run."""
        setup = self._setup
        queues = {
            self._queue(name): setup.schedulers[name].spec.max_jobs for name in setup.schedulers if name in self._batch
        }
        return [
            Limit(name=MACHINE, capacity=self.machine, unit=f"core shares, {OVERCOMMIT} for each core"),
            Limit(name=LOCAL, capacity=setup.local_cores, unit="cores"),
            Limit(name=LOGIN, capacity=setup.login_slots, unit="cores"),
            *(Limit(name=name, capacity=jobs, unit="jobs in the queue") for name, jobs in sorted(queues.items())),
        ]

    def shares(self, request: LaunchRequest) -> bool:
        """Return whether an attempt shares its job with the others of as many nodes."""
        return request.scheduler in self._batch and request.where == "allocation" and not request.alone

    def uses(self, request: LaunchRequest) -> dict[str, int]:
        """Return how much of each limit an attempt uses, or the job that it shares."""
        given = self._setup.schedulers[request.scheduler]
        batch = request.scheduler in self._batch
        own = request.where in ("allocation", "job")
        cores = self.machine if request.alone else request.cores
        used: dict[str, int] = {}
        if batch:
            used[self._queue(request.scheduler)] = 1 if own else self._jobs(request)
        if not (batch and own):
            used[LOGIN if batch else LOCAL] = request.cores
        if not batch or given.testbed:
            used[MACHINE] = cores
        return {name: number for name, number in used.items() if number}

    def _jobs(self, request: LaunchRequest) -> int:
        return max(1, request.jobs) if request.where == "control" else request.jobs

    def _queue(self, scheduler: str) -> str:
        inner = self._setup.schedulers[scheduler].inner
        return f"queue of {inner.within if inner else scheduler}"
