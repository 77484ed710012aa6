"""One batch job of the harness: its state, and the results of its cases, read from files on the shared file system.

States, the same for every scheduler::

    SUBMITTING ──> QUEUED ──> RUNNING ──> ENDED      the scheduler reported an end state
        │             ▲  ◀─requeued─┘        ▲
        │             └──── UNKNOWN ─────────┘       no readable answer about the job, for some time
        └─ refused ─> GONE <──┘                      not in the queue any more, end state unknown

A job is in UNKNOWN from the first answer that does not mention it or cannot be read; any later answer that does brings
it back. Only after the scheduler's ``job_unknown_limit``, asked in every way it can be asked, does it count as GONE.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from dashboard_client.schema import Span, Timing
from sdk_tests.execution.job_scripts import head, tail
from sdk_tests.execution.messages import LaunchRequest
from sdk_tests.model.timestamps import utc
from sdk_tests.schedulers import JobState, JobStatus

CLOCK_TOLERANCE = 5.0
"""Seconds by which a node's clock may differ from this machine's before the difference is reported and corrected."""


class Phase(Enum):
    """Where a job is, as far as the harness knows."""

    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    UNKNOWN = "unknown"
    GONE = "gone"
    ENDED = "ended"

    @property
    def left(self) -> bool:
        """Whether the job has left the queue for good."""
        return self in (Phase.GONE, Phase.ENDED)


@dataclass
class Job:
    """One batch job and the launch requests it carries, in the order of their index files.

    ending: how the harness decided that its open cases end, once it has; cancel_wanted: whether the job must leave the
    queue. Instants are seconds since the epoch.
    """

    name: str
    folder: Path
    requests: list[LaunchRequest]
    shared: bool
    slots: int
    walltime: float
    command: tuple[str, ...] = ()
    phase: Phase = Phase.SUBMITTING
    job_id: str | None = None
    status: JobStatus | None = None
    submitted: float = 0.0
    queued_since: float = 0.0
    running_since: float | None = None
    unknown_since: float | None = None
    asked_singly: int = 0
    left_at: float | None = None
    first_result: float | None = None
    last_result: float | None = None
    ending: str | None = None
    ending_detail: str = ""
    cancel_wanted: bool = False
    cancel_sent: float | None = None
    submit_error: str = ""
    search_until: float = 0.0
    requeues: int = 0
    agent_noticed: float | None = None
    clock_offset: float = 0.0
    finished: set[int] = field(default_factory=set)
    started: set[int] = field(default_factory=set)
    marks: dict[int, int] = field(default_factory=dict)
    """By case, when the agent marked its start, in nanoseconds; it marks it again if the job starts again."""

    @property
    def in_queue(self) -> bool:
        """Whether the job holds, or may hold, a place in the queue."""
        return not self.phase.left

    @property
    def several(self) -> bool:
        """Whether several cases share it."""
        return len(self.requests) > 1

    @property
    def open(self) -> bool:
        """Whether some of its cases have no result yet."""
        return len(self.finished) < len(self.requests)

    def report(self, status: JobStatus, now: float) -> None:
        """Take in what the scheduler reported about the job."""
        has_run = self.running_since is not None or bool(self.started)
        self.unknown_since, self.asked_singly = None, 0
        if status.state is JobState.UNKNOWN:
            if self.phase in (Phase.SUBMITTING, Phase.UNKNOWN):
                self.phase = Phase.RUNNING if has_run else Phase.QUEUED
            self.status = status
            return
        if status.state.ended:
            self.phase, self.left_at = Phase.ENDED, self.left_at or now
        elif status.state is JobState.RUNNING:
            self.phase = Phase.RUNNING
            self.running_since = self.running_since or now
        else:
            if has_run:
                self.requeues += 1
                self.running_since, self.queued_since = None, now
                self.started.clear()
            self.phase = Phase.QUEUED
        self.status = status

    def newly_started(self, index: int) -> bool:
        """Return True once for each start of a case in the present start of the job."""
        if index in self.started:
            return False
        try:
            mark = (self.folder / f"{index}.started").stat().st_mtime_ns
        except OSError:
            return False
        if self.marks.get(index) == mark:  # of an earlier start of a requeued job
            return False
        self.marks[index] = mark
        self.started.add(index)
        return True

    def lose(self, now: float) -> None:
        """The scheduler's answer did not mention the job, or could not be read."""
        if self.phase is not Phase.SUBMITTING and not self.phase.left:
            self.phase = Phase.UNKNOWN
            self.unknown_since = self.unknown_since or now

    def give_up(self) -> None:
        """Count the job as gone from the time it was last known."""
        self.phase, self.left_at = Phase.GONE, self.unknown_since or time.time()

    def look(self, now: float) -> None:
        """Read the agent's greeting, after a listing that makes a network file system refresh what it has cached."""
        try:
            names = set(os.listdir(self.folder))  # noqa: PTH208
        except OSError:
            return
        if self.agent_noticed is None and "agent.json" in names:
            self.agent_noticed = now
            self.clock_offset = self._clock_offset(now)

    def _clock_offset(self, now: float) -> float:
        """Return by how many seconds the node's clock is ahead of ours; 0 within the accuracy of the hand-shake.

        The agent wrote its time after the submission and before now. A time outside of that interval, and of the
        tolerance, shows a clock that is off by at least the distance.
        """
        try:
            started = float(json.loads((self.folder / "agent.json").read_text(encoding="utf-8"))["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
        if started > now + CLOCK_TOLERANCE:
            return started - now
        if started < self.submitted - CLOCK_TOLERANCE:
            return started - self.submitted
        return 0.0

    def result(self, index: int) -> dict[str, Any] | None:
        """Return what the agent wrote about the end of a case, as fields of an attempt result; None if nothing yet."""
        try:
            meta: dict[str, Any] = json.loads((self.folder / f"{index}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        out = self.folder / f"{index}.out"
        ran = (None, None) if meta.get("fixture_failed") else (meta["started"], meta["ended"])
        return {
            "ending": meta["ending"],
            "stdout": head(out),
            "stdout_bytes": meta["stdout_bytes"],
            "exit_code": meta["exit_code"],
            "signal": meta["signal"],
            "tail": tail(self.folder / f"{index}.err"),
            "detail": meta["detail"],
            "orphan_processes": tuple(meta["orphan_processes"]),
            "disturbed": meta["disturbed"],
            "starved": meta["starved"],
            "fixture": meta.get("fixture", ""),
            "fixture_failed": meta.get("fixture_failed", False),
            "timing": self.timing(*ran, waited=meta["waited"]),
            **self.native(),
        }

    def native(self) -> dict[str, Any]:
        """Return what the scheduler reported about the job, as fields of an attempt result."""
        status = self.status
        return {
            "job_ids": (self.job_id,) if self.job_id else (),
            "nodes": status.nodes if status else (),
            "native_state": status.native_state if status else None,
            "native_reason": status.reason if status else None,
            "submit_command": self.command,
            "requeues": self.requeues,
            "clock_offset": self.clock_offset or None,
        }

    def timing(self, started: float | None, ended: float | None, *, waited: bool = False) -> Timing:
        """Return the times of a case, given in seconds since the epoch by the node's clock.

        waited: the case waited for a slot of the allocation, so its launch time is unknown.
        """
        started, ended = (None if given is None else given - self.clock_offset for given in (started, ended))
        status = self.status
        queue_wait = launch = None
        if status and status.submitted is not None and status.started is not None:
            queue_wait = Span(seconds=max(0.0, status.started - status.submitted), source="scheduler")
        elif status and status.queue_wait is not None:
            queue_wait = Span(seconds=status.queue_wait, source="scheduler")
        elif self.running_since is not None:
            queue_wait = Span(seconds=max(0.0, self.running_since - self.submitted), source="harness")
        if started is not None and not waited and status and status.started is not None:
            launch = Span(seconds=round(max(0.0, started - status.started), 3), source="harness")
        run = collect = None
        if started is not None and ended is not None:
            run = Span(seconds=round(max(0.0, ended - started), 6), source="harness")
            collect = Span(seconds=round(max(0.0, time.time() - ended), 3), source="harness")
        return Timing(
            submitted=utc(self.submitted),
            started=utc(started),
            ended=utc(ended),
            queue_wait=queue_wait,
            launch=launch,
            run=run,
            collect=collect,
        )
