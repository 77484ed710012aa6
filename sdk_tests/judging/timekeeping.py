"""Keeps when each attempt of a run was requested, started and ended, for the timeline of the run."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

from dashboard_client.schema import Timing
from sdk_tests.execution.messages import LaunchRequest, Setup
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.model.timeline import Bar, Step, Timeline
from sdk_tests.plan.limits import Limits
from sdk_tests.plan.preparation import Preparation


class Timekeeping:
    """Collects the bars of one session of a run."""

    def __init__(self, preparation: Preparation, setup: Setup) -> None:
        batch = {name for name, each in preparation.schedulers.items() if each.outermost.kind.batch}
        system = preparation.system
        self._limits, self._setup = Limits(setup, batch), setup
        self._system = f"{system.site}/{system.name}"
        self._prepared, self._began = preparation.prepared, process_start()
        self._requests: dict[tuple[str, int], tuple[LaunchRequest, float]] = {}
        self._bars: dict[tuple[str, int], Bar] = {}
        self._shared_cores: dict[str, int] = {}

    def requested(self, request: LaunchRequest) -> None:
        """Note that an attempt was requested now."""
        self._requests[request.case_id, request.attempt] = (request, time.time())

    def finished(self, result: AttemptResult) -> None:
        """Note how an attempt ended, the first time that its result is seen."""
        key = result.case_id, result.attempt
        if key in self._bars or key not in self._requests:
            return
        request, requested = self._requests[key]
        times = instants(result.timing)
        if times is None:  # it never started
            return
        submitted, launched, started, ended = times
        shares = f"{request.scheduler} {result.job_ids[0]}" if self._limits.shares(request) and result.job_ids else ""
        if shares:
            self._shared_cores[shares] = self._setup.schedulers[request.scheduler].payload_cores
        self._bars[key] = Bar(
            case_id=result.case_id,
            attempt=result.attempt,
            scheduler=request.scheduler,
            requested=min(requested, submitted),
            submitted=submitted,
            launched=launched,
            started=started,
            ended=ended,
            collected=max(ended, time.time()),
            shares=shares,
            uses=self._limits.uses(request),
            cores=request.cores,
        )

    def timeline(self) -> Timeline:
        """Return the timeline of the session, which ends now."""
        now = time.time()
        first = min((requested for _, requested in self._requests.values()), default=now)
        last = max((bar.collected for bar in self._bars.values()), default=now)
        steps = [
            Step(name="system, testbeds, deployments", started=self._began, ended=self._prepared or self._began),
            Step(name="plan", started=self._prepared or self._began, ended=first),
            Step(name="end of the run", started=last, ended=now),
        ]
        return Timeline(
            system=self._system,
            began=self._began,
            closed=now,
            limits=self._limits.all(),
            steps=[step for step in steps if step.ended > step.started],
            bars=sorted(self._bars.values(), key=lambda bar: (bar.submitted, bar.started or bar.ended)),
            shared_cores=self._shared_cores,
        )


def instants(timing: Timing) -> tuple[float, float | None, float | None, float] | None:
    """Return when an attempt was submitted, launched, started, and ended; None if it never ran or never ended.

    Schedulers report whole seconds, so the launch is moved between its neighbours.
    """
    submitted, started, ended = map(_epoch, (timing.submitted, timing.started, timing.ended))
    if submitted is None or ended is None:
        return None
    launched = submitted + timing.queue_wait.seconds if timing.queue_wait is not None else started
    if launched is not None:
        launched = min(max(launched, submitted), ended if started is None else max(started, submitted))
    return submitted, launched, started, max(ended, submitted)


def process_start() -> float:
    """Return when this process was started, in seconds since the epoch."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - max(0.0, up - ticks / os.sysconf("SC_CLK_TCK"))


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
