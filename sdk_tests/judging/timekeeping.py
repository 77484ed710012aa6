"""Keeps when each attempt of a run was requested, started and ended, for the timeline of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from dashboard_client.schema import Timing
from sdk_tests.execution.messages import LaunchRequest, Setup
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.model.timeline import Bar, Step, Timeline
from sdk_tests.plan.limits import MACHINE, Limits
from sdk_tests.plan.preparation import Preparation


class _Place(NamedTuple):
    """What an attempt uses; equal for most of the attempts of a large run."""

    scheduler: str
    cores: int
    shares: bool
    uses: tuple[tuple[str, int], ...]


class Timekeeping:
    """Collects the bars of one session of a run."""

    def __init__(self, preparation: Preparation, setup: Setup) -> None:
        batch = {name for name, each in preparation.schedulers.items() if each.outermost.kind.batch}
        system = preparation.system
        self._limits, self._setup = Limits(setup, batch), setup
        self._system = f"{system.site}/{system.name}"
        self._prepared, self._began = preparation.prepared, process_start()
        self._requests: dict[tuple[str, int], tuple[_Place, float]] = {}
        self._places: dict[_Place, _Place] = {}
        self._bars: dict[tuple[str, int], Bar] = {}
        self._shared_cores: dict[str, int] = {}
        self._waits: list[Step] = []

    def waited(self, name: str, since: float) -> None:
        """Note that the cases waited for something until now. since: seconds since the epoch."""
        self._waits.append(Step(name=name, started=since, ended=time.time()))

    def requested(self, request: LaunchRequest) -> None:
        """Note that an attempt was requested now."""
        uses = tuple(sorted(self._limits.uses(request).items()))
        place = _Place(request.scheduler, request.cores, self._limits.shares(request), uses)
        # Of many cases, the requests themselves would take most of the memory.
        self._requests[request.case_id, request.attempt] = (self._places.setdefault(place, place), time.time())

    def finished(self, result: AttemptResult) -> None:
        """Note how an attempt ended, the first time that its result is seen."""
        key = result.case_id, result.attempt
        if key in self._bars or key not in self._requests:
            return
        place, requested = self._requests[key]
        times = instants(result.timing)
        if times is None:  # it never started
            return
        submitted, launched, started, ended = times
        shares = f"{place.scheduler} {result.job_ids[0]}" if place.shares and result.job_ids else ""
        if result.fixture and not place.shares:
            shares = f"{place.scheduler} {result.fixture}"
        if shares:
            self._shared_cores[shares] = self._shared_cores.get(shares, 0) + place.cores
        self._bars[key] = Bar(
            case_id=result.case_id,
            attempt=result.attempt,
            scheduler=place.scheduler,
            requested=min(requested, submitted),
            submitted=submitted,
            launched=launched,
            started=started,
            ended=ended,
            collected=max(ended, time.time()),
            shares=shares,
            uses=dict(place.uses),
            cores=place.cores,
        )

    def timeline(self) -> Timeline:
        """Return the timeline of the session, which ends now."""
        now = time.time()
        first = min((requested for _, requested in self._requests.values()), default=now)
        last = max((bar.collected for bar in self._bars.values()), default=now)
        slots = {name: self._slots(name) for name in self._shared_cores}
        steps = [
            Step(name="system, testbeds, deployments", started=self._began, ended=self._prepared or self._began),
            Step(name="plan", started=self._prepared or self._began, ended=first),
            *self._waits,
            Step(name="end of the run", started=last, ended=now),
        ]
        return Timeline(
            system=self._system,
            began=self._began,
            closed=now,
            limits=self._limits.all(),
            steps=[step for step in steps if step.ended > step.started],
            bars=sorted((_in_its_job(bar, slots) for bar in self._bars.values()), key=_order),
            shared_cores=slots,
        )

    def _slots(self, job: str) -> int:
        """Return how many cores the cases of a shared job may use at once: no more than all of them together.

        The cases of a fixture run one after another.
        """
        bars = [bar for bar in self._bars.values() if bar.shares == job]
        largest = max(bar.cores for bar in bars)
        payload_cores = 0 if bars[0].fixture else self._setup.schedulers[job.partition(" ")[0]].payload_cores
        return min(self._shared_cores[job], max(payload_cores, largest))


def _in_its_job(bar: Bar, slots: Mapping[str, int]) -> Bar:
    """Return a bar that uses as much of this machine as the job that it shares."""
    if not bar.shares or MACHINE not in bar.uses:
        return bar
    return msgspec.structs.replace(bar, uses={**bar.uses, MACHINE: slots[bar.shares]})


def _order(bar: Bar) -> tuple[float, float]:
    return bar.submitted, bar.started or bar.ended


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
