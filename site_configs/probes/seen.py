"""What was seen of a scheduler; None is what it did not tell, which is not the same as no limit."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNLIMITED = "unlimited"
"""A walltime without a limit, told from one that was not said."""


@dataclass(frozen=True)
class SeenQueue:
    """A queue or partition. ``nodes`` are those it has, ``max_nodes`` those a job in it may ask for."""

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
        """The nodes a job can get: the configured limit, or the queue's nodes where those are fewer."""
        return min((value for value in (self.max_nodes, self.nodes) if value), default=None)


@dataclass(frozen=True)
class SeenScheduler:
    """A scheduler that answers, and the launchers of its own that are on PATH; ``asked`` is the command that told."""

    kind: str
    asked: str
    version: str | None = None
    queues: tuple[SeenQueue, ...] = ()
    launchers: tuple[str, ...] = ()
    nodes: int | None = None


def clock(seconds: float) -> str:
    """Write seconds as site files do: HH:MM:SS."""
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def number(text: object) -> int | None:
    """Read a count; ``64+`` means at least 64."""
    digits = str(text).strip().rstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def family(version: str | None) -> str | None:
    """Return the first two numbers of a version: what site files name."""
    found = re.search(r"\d+\.\d+", version or "")
    return found[0] if found else None
