"""A scheduler and its queues as a probe observed them. None: the scheduler did not report it (not: no limit)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from site_configs.values import Dialect

UNLIMITED = "unlimited"
"""The walltime of a queue without a limit; None is a walltime that was not reported."""


@dataclass(frozen=True)
class ObservedQueue:
    """A queue or partition. ``nodes``: how many it has; ``max_nodes``: how many a job in it may request."""

    name: str
    default: bool = False
    up: bool = True
    max_walltime: str | None = None
    min_walltime: str | None = None
    max_nodes: int | None = None
    min_nodes: int | None = None
    max_running: int | None = None
    max_queued: int | None = None
    nodes: int | None = None
    cores: int | None = None
    memory_gb: int | None = None
    gres: str | None = None
    exclusive: bool | None = None
    routes: tuple[str, ...] = ()

    @property
    def widest(self) -> int | None:
        """The most nodes a job can get: the smaller of the configured limit and the queue's nodes."""
        return min((value for value in (self.max_nodes, self.nodes) if value), default=None)


@dataclass(frozen=True)
class ObservedScheduler:
    """A scheduler that answers.

    ``command``: the command that lists its queues; ``launchers``: its own ones on PATH; ``dialect``: that of an LSF.
    """

    kind: str
    command: str
    version: str | None = None
    queues: tuple[ObservedQueue, ...] = ()
    launchers: tuple[str, ...] = ()
    nodes: int | None = None
    dialect: Dialect | None = None


def clock(seconds: float) -> str:
    """Return seconds in the form of site files, HH:MM:SS."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def number(text: object) -> int | None:
    """Read a count; ``64+`` means at least 64."""
    digits = str(text).strip().rstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def family(version: str | None) -> str | None:
    """Return the first two numbers of a version, the ``version_family`` of site files."""
    match = re.search(r"\d+\.\d+", version or "")
    return match[0] if match else None
