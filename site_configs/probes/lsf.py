"""Probe LSF: ``bqueues -l`` for queues and run limits, ``lsid`` for the version, ``bjobs -json`` for the dialect.

LSF counts job slots, not nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from site_configs.probes.command import present, run
from site_configs.probes.observed import ObservedQueue, ObservedScheduler, clock
from site_configs.values import Dialect

NODE_LAUNCHERS = ("jsrun", "lrun")
"""The launchers of IBM's Job Step Manager, which exists only where LSF works with the Cluster System Manager."""


def probe(env: Mapping[str, str]) -> ObservedScheduler | str:
    """Return LSF with its queues, or the reason why there are none."""
    listing, reason = run(["bqueues", "-l"], env)
    if listing is None:
        return reason or "bqueues printed nothing"
    queues = [_queue(block) for block in re.split(r"(?m)^(?=QUEUE: )", listing) if block.startswith("QUEUE: ")]
    if not queues:
        return "bqueues lists no queue"
    version, _ = run(["lsid"], env)
    match = re.search(r"\b(?:LSF|openlava)\b.*?(\d+(?:\.\d+)+)", version or "")
    return ObservedScheduler(
        kind="lsf",
        command="bqueues -l",
        version=match[1] if match else None,
        queues=tuple(queues),
        launchers=present(NODE_LAUNCHERS, env),
        dialect=dialect(env),
    )


def dialect(env: Mapping[str, str]) -> Dialect | None:
    """Return which dialect the commands on PATH understand; None if that cannot be found out."""
    output, reason = run(["bjobs", "-json", "-o", "jobid"], env)
    if output is None and reason and reason.startswith(("no bjobs", "bjobs did not", "bjobs could not")):
        return None
    if not (output or "").lstrip().startswith("{") and "job found" not in (reason or ""):
        return Dialect.CLASSIC
    return Dialect.CSM if present(NODE_LAUNCHERS, env) else Dialect.SLOTS


def _queue(block: str) -> ObservedQueue:
    """Read one queue; if default and maximum limits are listed separately, the maximum counts."""
    name = block.split(None, 2)[1]
    status = re.search(r"^\s*\d+\s+-?\d+\s+(\w+):(\w+)", block, re.MULTILINE)
    limits = block.partition("MAXIMUM LIMITS:")[2] or block
    run_limit = re.search(r"^\s*RUNLIMIT\b.*\n\s*(\d+(?:\.\d+)?) min", limits, re.MULTILINE)
    return ObservedQueue(
        name=name,
        default="default queue" in block.partition("PARAMETERS/STATISTICS")[0],
        up=status is None or status[1] == "Open",
        max_walltime=clock(float(run_limit[1]) * 60) if run_limit else None,
    )
