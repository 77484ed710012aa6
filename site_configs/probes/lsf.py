"""LSF: ``bqueues -l`` for queues and run limits, ``lsid`` for the version. LSF counts job slots, not nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from site_configs.probes.command import present, run
from site_configs.probes.seen import SeenQueue, SeenScheduler, clock


def look(env: Mapping[str, str]) -> SeenScheduler | str:
    """Return LSF with its queues, or why there are none."""
    said, reason = run(["bqueues", "-l"], env)
    if said is None:
        return reason or "bqueues said nothing"
    queues = [_queue(block) for block in re.split(r"(?m)^(?=QUEUE: )", said) if block.startswith("QUEUE: ")]
    if not queues:
        return "bqueues lists no queue"
    version, _ = run(["lsid"], env)
    found = re.search(r"\bLSF\b.*?(\d+(?:\.\d+)+)", version or "")
    return SeenScheduler(
        kind="lsf",
        asked="bqueues -l",
        version=found[1] if found else None,
        queues=tuple(queues),
        launchers=present(["jsrun", "lrun"], env),
    )


def _queue(block: str) -> SeenQueue:
    """Read one queue; where defaults and maxima are listed apart, the maxima count."""
    name = block.split(None, 2)[1]
    status = re.search(r"^\s*\d+\s+-?\d+\s+(\w+):(\w+)", block, re.MULTILINE)
    limits = block.partition("MAXIMUM LIMITS:")[2] or block
    run_limit = re.search(r"^\s*RUNLIMIT\b.*\n\s*(\d+(?:\.\d+)?) min", limits, re.MULTILINE)
    return SeenQueue(
        name=name,
        default="default queue" in block.partition("PARAMETERS/STATISTICS")[0],
        up=status is None or status[1] == "Open",
        max_walltime=clock(float(run_limit[1]) * 60) if run_limit else None,
    )
