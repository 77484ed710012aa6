"""Faults on a testbed, real or emulated, from one vocabulary: each is a method, each kind of testbed does it its way.

Used by tests that state which outcome and cause the harness must reach. A fault stays until ``mend``, except the one
that is over by itself.
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
"""A folder of every testbed that stands first on its PATH."""


class Faults(abc.ABC):
    """What can be broken. ``job`` is a native id."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.env = manage.environment(testbed, dict(os.environ))

    @abc.abstractmethod
    def refuse(self) -> None:
        """Refuse every submission."""

    @abc.abstractmethod
    def down(self, seconds: float) -> None:
        """Take the scheduler's daemon away for so long; jobs that run go on."""

    @abc.abstractmethod
    def kill_node(self, job: str) -> None:
        """Let the first node of a running job die with all that runs on it."""

    @abc.abstractmethod
    def preempt(self, job: str) -> None:
        """Take a running job's nodes away and put it back in the queue."""

    @abc.abstractmethod
    def hold(self) -> None:
        """Hold what is submitted from now on, for ever."""

    @abc.abstractmethod
    def release(self, job: str) -> None:
        """Let a held job go."""

    @abc.abstractmethod
    def expire(self, job: str) -> None:
        """End a running job as at its walltime."""

    @abc.abstractmethod
    def vanish(self, job: str) -> None:
        """End a job and let no status query ever mention it again."""

    def slow(self, seconds: float) -> None:
        """Let the status command take so long."""
        self._shim(f'sleep {seconds:g}\nexec {self._real()} "$@"\n')

    def garble(self) -> None:
        """Let the status command print half of its answer and bytes that nobody expects, and exit with 0."""
        real = self._real()
        self._shim(
            f'said=$({real} "$@" 2>/dev/null | head -c 20)\nprintf \'%s\\033[1;31m\\nlost\\377connection\' "$said"\n'
        )

    def mend(self) -> None:
        """Undo what lasts, so that the testbed can be used again."""
        self._place().unlink(missing_ok=True)

    def _place(self) -> Path:
        return self.testbed.folder / SHIMS / STATUS[self.testbed.kind]

    def _real(self) -> str:
        """Return the real status command, quoted."""
        rest = [part for part in self.env["PATH"].split(os.pathsep) if part != str(self._place().parent)]
        found = find(self._place().name, {"PATH": os.pathsep.join(rest)})
        if found is None:
            raise TestbedError(f"no {self._place().name} behind {self._place()}")
        return shlex.quote(found)

    def _shim(self, body: str) -> None:
        """Put a program in the status command's place, whole at once."""
        draft = self._place().with_suffix(".draft")
        draft.write_text(f"#!/bin/sh\n{body}")
        draft.chmod(0o700)
        draft.replace(self._place())
