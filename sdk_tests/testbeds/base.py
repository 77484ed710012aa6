"""The data of a running testbed, and the base class of the kinds of testbeds."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from site_configs.schema import SchedulerSpec

if TYPE_CHECKING:
    from sdk_tests.testbeds.site_profile import SiteProfile


@dataclass(frozen=True)
class Daemon:
    """A process of a testbed, identified by pid and ``started`` (field 22 of /proc/PID/stat, ticks since boot)."""

    name: str
    pid: int
    started: int


VARIABLE = "EXAWORKS_TESTBED"
"""Names the testbed that a shell or a process uses."""


@dataclass(frozen=True)
class Testbed:
    """A running testbed. ``env``: the variables that its commands need; ``PATH+`` holds additions to PATH.

    ``owner`` is the process for which it was started; when that process is gone, the testbed is reaped. A testbed
    without an owner is kept until ``down``.
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
        """The variables for a shell: ``env`` and the name of the testbed, which marks its nodes as no real hosts."""
        return {**self.env, VARIABLE: self.id}


class TestbedKind(abc.ABC):
    """One kind of testbed: how it is started and stopped."""

    __test__ = False
    kind: str
    profile: SiteProfile | None = None
    """The system that the testbed resembles; None for a generic testbed."""

    @abc.abstractmethod
    def absent(self) -> str | None:
        """Return why this machine cannot have such a testbed (missing program and its package), or None."""

    @abc.abstractmethod
    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        """Start a testbed in ``folder`` and return when its nodes are idle.

        Raises:
            sdk_tests.errors.TestbedError: it did not start; the message names the log and its last line.
        """

    @abc.abstractmethod
    def down(self, testbed: Testbed) -> None:
        """End its jobs and daemons, identified by pid and start time; safe to call twice."""
