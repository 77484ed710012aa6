"""Faults for real and emulated testbeds: each fault is a method that every kind of testbed implements in its own way.

Tests use them to check the outcome and cause that the harness reaches. A fault lasts until ``mend``, except ``down``,
which ends by itself.
"""

from __future__ import annotations

import abc
import os
import shlex
from pathlib import Path

from sdk_tests.errors import TestbedError
from sdk_tests.schedulers.commands import find
from sdk_tests.testbeds import manage
from sdk_tests.testbeds.base import Testbed

STATUS = {"slurm": "squeue", "flux": "flux", "pbs": "qstat", "lsf": "bjobs", "cobalt": "qstat"}
"""The command of each kind that answers the bulk status query."""
SHIMS = "shims"
"""A folder of every testbed at the start of its PATH."""


class Faults(abc.ABC):
    """The faults of one testbed. ``job`` is a native job id."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.env = manage.environment(testbed, dict(os.environ))

    @abc.abstractmethod
    def refuse(self) -> None:
        """Refuse every submission."""

    @abc.abstractmethod
    def down(self, seconds: float) -> None:
        """Stop the daemon of the scheduler for ``seconds``; running jobs continue."""

    @abc.abstractmethod
    def kill_node(self, job: str) -> None:
        """Kill the first node of a running job with all its processes."""

    @abc.abstractmethod
    def preempt(self, job: str) -> None:
        """Preempt a running job and put it back in the queue."""

    @abc.abstractmethod
    def hold(self) -> None:
        """Hold all jobs that are submitted from now on."""

    @abc.abstractmethod
    def release(self, job: str) -> None:
        """Release a held job."""

    @abc.abstractmethod
    def expire(self, job: str) -> None:
        """End a running job as if it had reached its walltime."""

    @abc.abstractmethod
    def vanish(self, job: str) -> None:
        """End a job and remove it from all later status queries."""

    def slow(self, seconds: float) -> None:
        """Delay the status command by ``seconds``."""
        self._shim(f'sleep {seconds:g}\nexec {self._real()} "$@"\n')

    def garble(self) -> None:
        """Let the status command print a part of its output and invalid bytes, and exit with 0."""
        real = self._real()
        self._shim(
            f'text=$({real} "$@" 2>/dev/null | head -c 20)\nprintf \'%s\\033[1;31m\\nlost\\377connection\' "$text"\n'
        )

    def mend(self) -> None:
        """Remove all faults, so that the testbed can be used again."""
        self._shim_path().unlink(missing_ok=True)

    def _shim_path(self) -> Path:
        return self.testbed.folder / SHIMS / STATUS[self.testbed.kind]

    def _real(self) -> str:
        """Return the real status command, quoted."""
        rest = [part for part in self.env["PATH"].split(os.pathsep) if part != str(self._shim_path().parent)]
        real = find(self._shim_path().name, {"PATH": os.pathsep.join(rest)})
        if real is None:
            raise TestbedError(f"no {self._shim_path().name} on PATH after {self._shim_path()}")
        return shlex.quote(real)

    def _shim(self, body: str) -> None:
        """Replace the status command by a script, atomically."""
        temporary = self._shim_path().with_suffix(".temporary")
        temporary.write_text(f"#!/bin/sh\n{body}")
        temporary.chmod(0o700)
        temporary.replace(self._shim_path())
