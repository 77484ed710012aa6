"""No scheduler: cases run on this machine, as child processes of the supervisor, on the cores the site file allows."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import NoReturn

from sdk_tests.errors import HarnessError
from sdk_tests.schedulers.base import CommandResult, JobSpec, JobStatus, Probe, SchedulerKind


class LocalKind(SchedulerKind):
    """This machine without a scheduler."""

    kind = "local"
    batch = False
    component_names = {"psij": "local", "parsl": "LocalProvider", "radical": "fork"}

    def probe(self) -> Probe:
        return Probe(kind=self.kind, available=True, nodes=(platform.node(),))

    def submit_argv(self, job: JobSpec) -> list[str]:
        self._refuse()

    def parse_submit(self, done: CommandResult) -> str:
        self._refuse()

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        self._refuse()

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        self._refuse()

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        self._refuse()

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        return list(argv)

    def ping_argv(self) -> list[str]:
        return [sys.executable, "-I", "-c", ""]

    def _refuse(self) -> NoReturn:
        raise HarnessError(
            "the local scheduler grants no allocations: run the case on this machine, or select a batch scheduler"
        )
