"""How long cases will probably take: as in earlier runs of this system, or else as long as they may."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sdk_tests.model.timeline import FILE, Timeline

RUNS = 5
"""The newest runs of the system that count."""
LOOKED_AT = 50
"""The newest runs that are looked at, of whichever system."""


def earlier_seconds(runs: Path, system: str) -> dict[str, float]:
    """Return the seconds that each case took when it ran last on a system, without its wait in a queue."""
    seconds: dict[str, float] = {}
    used = 0
    for timeline in _newest(runs):
        if timeline.system != system:
            continue
        for bar in timeline.bars:
            began = bar.launched if bar.launched is not None else bar.started
            if began is not None:
                seconds.setdefault(bar.case_id, max(0.0, bar.ended - began))
        used += 1
        if used == RUNS:
            break
    return seconds


def _newest(runs: Path) -> Iterable[Timeline]:
    for path in sorted(runs.glob(f"*/private/{FILE}"), reverse=True)[:LOOKED_AT]:
        timeline = Timeline.read(path.parent)
        if timeline is not None:
            yield timeline
