"""Probe Flux: ``flux queue list`` for queues and their limits, ``flux resource list`` for nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from site_configs.probes.command import run
from site_configs.probes.observed import UNLIMITED, ObservedQueue, ObservedScheduler, clock, number

QUEUE_FORMAT = "{queue}|{queuem}|{submission}|{limits.timelimit}|{limits.range.nnodes}"
RESOURCE_FORMAT = "{nnodes}|{ncores}|{ngpus}"
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}


def probe(env: Mapping[str, str]) -> ObservedScheduler | str:
    """Return the Flux instance that answers here with its queues, or the reason why there is none."""
    listing, reason = run(["flux", "queue", "list", "--no-header", f"--format={QUEUE_FORMAT}"], env)
    if listing is None:
        return reason or "flux printed nothing"
    shapes, _ = run(
        ["flux", "resource", "list", "--no-header", "--states=free,allocated,down", f"--format={RESOURCE_FORMAT}"], env
    )
    nodes, cores = _resources(shapes or "")
    version, _ = run(["flux", "version"], env)
    match = re.search(r"^commands:\s+(\S+)", version or "", re.MULTILINE)
    queues = [_queue(line, cores) for line in listing.splitlines()]
    return ObservedScheduler(
        kind="flux",
        command="flux queue list",
        version=match[1] if match else None,
        queues=tuple(queue for queue in queues if queue is not None),
        launchers=("flux",),
        nodes=nodes,
    )


def duration(text: str) -> str | None:
    """Turn a Flux Standard Duration (``30m``, ``1.5h``, ``inf``) or seconds into HH:MM:SS; None for anything else."""
    if text in ("inf", "infinity", "0", "0s"):
        return UNLIMITED
    match = re.fullmatch(r"(\d+(?:\.\d*)?)(ms|s|m|h|d|)", text.strip())
    return clock(float(match[1]) * _UNITS[match[2]]) if match else None


def _queue(line: str, cores: int | None) -> ObservedQueue | None:
    """Read one line of the listing; an instance without named queues lists one queue with an empty name."""
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != QUEUE_FORMAT.count("|") + 1 or not columns[0]:
        return None
    name, marked, submission, limit, nodes = columns
    smallest, _, largest = nodes.partition("-")
    return ObservedQueue(
        name=name,
        default=marked.endswith("*"),
        up=submission == "enabled",
        max_walltime=duration(limit),
        min_nodes=number(smallest),
        max_nodes=number(largest),
        cores=cores,
    )


def _resources(text: str) -> tuple[int | None, int | None]:
    """Return the number of nodes of the instance, and the cores of one node."""
    rows = [[number(column) or 0 for column in line.split("|")] for line in text.splitlines() if line.count("|") == 2]
    nodes, cores = sum(row[0] for row in rows), sum(row[1] for row in rows)
    return (nodes, cores // nodes) if nodes else (None, None)
