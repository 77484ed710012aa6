"""The cases that share a fixture beside the schedulers: the supervisor's part of it.

A fixture counts for the limits as a case with its cores and jobs; a case that it serves counts for nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from sdk_tests.execution import temporary_folder
from sdk_tests.execution.fixtures import Fixtures
from sdk_tests.execution.leftover_jobs import LeftoverJobs
from sdk_tests.execution.messages import FixtureLaunch, LaunchRequest, Message, Setup, attempt_finished
from sdk_tests.execution.pending import PendingRequests
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable


class Supervisor(Protocol):
    """What the supervisor does for the cases that share a fixture."""

    setup: Setup
    processes: ProcessTable
    pending: PendingRequests
    beside: dict[str, LaunchRequest]

    @property
    def leftover_jobs(self) -> Mapping[str, LeftoverJobs]:
        """The jobs that ended payloads have left, by scheduler."""

    def send(self, value: Message) -> None:
        """Send a message to the harness."""

    def has_room(self, request: LaunchRequest) -> bool:
        """Return whether the limits admit one more process beside the schedulers."""

    def jobs_of(self, request: LaunchRequest) -> int:
        """Return how many places in the queue a process beside the schedulers needs."""

    def payload_env(self, request: LaunchRequest, mark: str) -> dict[str, str]:
        """Return the environment of a payload."""

    def start(self, request: LaunchRequest, enter: Sequence[str] = (), fixture_began: float | None = None) -> None:
        """Start a process beside the scheduler."""


class Guests:
    """Starts fixtures and their cases for a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.fixtures = Fixtures(supervisor.processes)

    def admit(self, request: LaunchRequest, fixture: FixtureLaunch) -> bool:
        """Start a case in its fixture if that is free, or else the fixture, if it does not run and the limits admit it.

        Returns whether the case was started.
        """
        if fixture.name in self.fixtures:
            if not self.fixtures.admits(fixture.name, request.walltime):
                return False
            ready, began = self.fixtures.enter(fixture.name)
            guest = msgspec.structs.replace(request, cores=0, jobs=0)
            self._supervisor.start(guest, [*fixture.enter, ready], began)
            return True
        host = msgspec.structs.replace(
            request, case_id=fixture.name, cores=fixture.cores, jobs=fixture.jobs, fixture=None
        )
        if fixture.name not in self.fixtures.failed and self._supervisor.has_room(host):
            self._start(host, fixture)
        return False

    def _start(self, host: LaunchRequest, fixture: FixtureLaunch) -> None:
        supervisor = self._supervisor
        key, folder = self.fixtures.prepare(fixture.name, fixture.scratch)
        host = msgspec.structs.replace(host, scratch=folder)
        mark = f"{supervisor.setup.mark}/{key}"

        def ended(_: ProcessEnd) -> None:
            del supervisor.beside[key]
            temporary_folder.remove(mark)
            if host.scheduler in supervisor.leftover_jobs:
                supervisor.leftover_jobs[host.scheduler].hold(folder, supervisor.jobs_of(host))
                supervisor.leftover_jobs[host.scheduler].seek(folder)

        env = supervisor.payload_env(host, mark)
        supervisor.beside[key] = host
        seconds = (fixture.start, fixture.walltime, fixture.limit)
        self.fixtures.start(fixture.name, key, folder, fixture.argv, env, seconds=seconds, mark=mark, ended=ended)

    def tick(self) -> None:
        """End the fixtures that no case needs, and the cases whose fixture has failed, with its end as their own."""
        for name, end in self.fixtures.failed.items():
            for request in self._supervisor.pending.remove_guests(name):
                self._supervisor.send(
                    attempt_finished(
                        request,
                        end.ending,
                        exit_code=end.exit_code,
                        signal=end.signal,
                        tail=end.stderr.decode(errors="replace"),
                        detail=end.detail,
                        starved=end.starved,
                        fixture=name,
                        fixture_failed=True,
                    )
                )
        self.fixtures.tick(self._supervisor.pending.fixtures())
