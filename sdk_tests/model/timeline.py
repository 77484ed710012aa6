"""When each attempt of a run waited, started and ended, and what it used of the limits of the machine and the site.

Written at the end of a run into its private folder. The report draws it; later runs start their longest cases first.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from dashboard_client.durable import write_atomically

FILE = "timeline.json"
"""In the private folder of a run."""
PRIVATE = "private"
"""The name of that folder."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that cases share: ``capacity`` is how much of it may be used at once, in ``unit``."""

    name: str
    capacity: int
    unit: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the run in which no case runs yet, or none any more. Instants are seconds since the epoch."""

    name: str
    started: float
    ended: float


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a case. Instants are seconds since the epoch; an unknown one is null.

    requested: the harness asked the supervisor to start it. submitted: its job was submitted, or its process started.
    launched: its job started. started: its payload started. ended: its payload ended. collected: the harness had the
    result. shares: the job or the fixture that it shares with others. uses: how much of each limit it, or the job that
    it shares, takes. cores: of the allocation that it shares.
    """

    case_id: str
    attempt: int
    scheduler: str
    requested: float
    submitted: float
    launched: float | None
    started: float | None
    ended: float
    collected: float
    shares: str = ""
    uses: dict[str, int] = {}
    cores: int = 1

    @property
    def fixture(self) -> str:
        """The fixture that it shares with others beside the scheduler, whose start is ``submitted``; empty if none."""
        name = self.shares.partition(" ")[2]
        return name if name.startswith("fixture ") else ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """All attempts of one session of a run. began, closed: of the command, in seconds since the epoch.

    shared_cores: how many cores of each shared job its cases may use at once.
    """

    system: str
    began: float
    closed: float
    limits: list[Limit] = []
    steps: list[Step] = []
    bars: list[Bar] = []
    shared_cores: dict[str, int] = {}

    @property
    def set_up(self) -> float:
        """Return the seconds from the start of the command to the first request for a case; 0 if there was none."""
        return max(0.0, min((bar.requested for bar in self.bars), default=self.began) - self.began)

    @property
    def seconds(self) -> float:
        """The time of the command, from its start until all results were recorded."""
        return max(0.0, self.closed - self.began)

    def write(self, private: Path) -> None:
        """Store it in the private folder of its run.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(private / FILE, msgspec.json.encode(self))

    @staticmethod
    def read(private: Path) -> Timeline | None:
        """Return the timeline of a run; None if there is none that can be read."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((private / FILE).read_bytes(), type=Timeline)
        return None
