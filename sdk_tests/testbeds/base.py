"""Throw-away private schedulers on this machine, real where their software is installed.

A testbed lives in ``$EXAWORKS_HOME/testbeds/<id>/``; ``testbed.json`` there is all that is needed to use it, take it
down, or reap it after a crash. Adding one is one new file here and one line under the entry point group
``exaworks.testbeds``.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from site_configs.schema import SchedulerSpec

if TYPE_CHECKING:
    from sdk_tests.testbeds.likeness import Likeness


@dataclass(frozen=True)
class Daemon:
    """A process of a testbed; ``started`` (field 22 of /proc/PID/stat, ticks since boot) tells it from a later one."""

    name: str
    pid: int
    started: int


VARIABLE = "EXAWORKS_TESTBED"
"""Names the testbed that a shell or a process uses."""


@dataclass(frozen=True)
class Testbed:
    """A running testbed. ``env`` is what its commands need (SLURM_CONF, PATH additions under the key ``PATH+``).

    ``owner`` is the process it was brought up for (None: kept until ``down``); when that is gone the testbed is reaped.
    """

    __test__ = False

    id: str
    kind: str
    folder: Path
    env: dict[str, str]
    scheduler: SchedulerSpec
    daemons: tuple[Daemon, ...] = ()
    owner: Daemon | None = None
    nodes: int = 1
    version: str | None = None
    extras: dict[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """What a shell needs to use it: ``env``, and its name, which tells a run there that nodes are no hosts."""
        return {**self.env, VARIABLE: self.id}


class TestbedKind(abc.ABC):
    """How one kind of testbed is brought up and taken down."""

    __test__ = False
    kind: str
    like: Likeness | None = None
    """The system it is to look like; None for one of its own kind."""

    @abc.abstractmethod
    def absent(self) -> str | None:
        """Return why this machine cannot have one (which program is missing, which package has it), or None."""

    @abc.abstractmethod
    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        """Bring one up in ``folder`` and return when its nodes are idle.

        Raises:
            sdk_tests.errors.TestbedError: it did not come up; names the log and its last line.
        """

    @abc.abstractmethod
    def down(self, testbed: Testbed) -> None:
        """End its jobs and daemons by pid and start time; safe to call twice."""
