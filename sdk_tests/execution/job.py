"""One batch job of the harness, and what its cases came to: read from files it leaves on the shared file system."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashboard_client.schema import Span, Timing
from sdk_tests.execution.job_scripts import head, tail
from sdk_tests.execution.messages import AttemptFinished, LaunchRequest, attempt_finished
from sdk_tests.model.timestamps import utc
from sdk_tests.schedulers import JobStatus


@dataclass
class Job:
    """One batch job and the orders it carries, in the order of their index files."""

    name: str
    folder: Path
    requests: list[LaunchRequest]
    shared: bool
    slots: int
    walltime: float
    job_id: str | None = None
    submitted: float = 0.0
    status: JobStatus | None = None
    first_seen_running: float | None = None
    first_result: float | None = None
    gone_at: float | None = None
    cancel_ending: str | None = None
    cancelled_for: str = ""
    landed: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)

    def read(self, index: int) -> AttemptFinished:
        """Return what came of a case that has left its index file."""
        request = self.requests[index]
        meta: dict[str, Any] = json.loads((self.folder / f"{index}.json").read_text(encoding="utf-8"))
        out, err = self.folder / f"{index}.out", self.folder / f"{index}.err"
        size = meta.get("stdout_bytes")
        size = out.stat().st_size if size is None else size
        code: int | None = meta["exit_code"]
        signal: int | None = meta.get("signal")
        if signal is None and code is not None and code > 128 and not self.shared:  # sh reports a signal as 128 + N
            signal, code = code - 128, None
        return attempt_finished(
            request,
            meta.get("ending", "exited"),
            stdout=head(out),
            stdout_bytes=size,
            exit_code=code,
            signal=signal,
            tail=tail(err),
            detail=meta.get("detail", ""),
            leftovers=tuple(meta.get("leftovers", ())),
            timing=self.timing(meta["started"], meta["ended"], waited=meta.get("waited", False)),
            **self.native(),
        )

    def native(self) -> dict[str, Any]:
        """Return what the scheduler says of the job, as the fields of a landing."""
        status = self.status
        return {
            "job_ids": (self.job_id,) if self.job_id else (),
            "nodes": status.nodes if status else (),
            "native_state": status.native_state if status else None,
            "native_reason": status.reason if status else None,
        }

    def timing(self, started: float | None, ended: float | None, *, waited: bool = False) -> Timing:
        """Return the times of a case, given in seconds since 1970; one that waited in the job has no time of launch."""
        status = self.status
        wait = launch = None
        if status and status.submitted is not None and status.started is not None:
            wait = Span(seconds=max(0.0, status.started - status.submitted), source="scheduler")
        elif status and status.waited is not None:
            wait = Span(seconds=status.waited, source="scheduler")
        elif self.first_seen_running is not None:
            wait = Span(seconds=max(0.0, self.first_seen_running - self.submitted), source="harness")
        if started is not None and not waited and status and status.started is not None:
            launch = Span(seconds=round(max(0.0, started - status.started), 3), source="harness")
        run = collect = None
        if started is not None and ended is not None:
            run = Span(seconds=round(ended - started, 6), source="harness")
            collect = Span(seconds=round(max(0.0, time.time() - ended), 3), source="harness")
        return Timing(
            submitted=utc(self.submitted),
            started=utc(started),
            ended=utc(ended),
            queue_wait=wait,
            launch=launch,
            run=run,
            collect=collect,
        )
