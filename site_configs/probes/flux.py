"""Flux: ``flux queue list`` for queues and their limits, ``flux resource list`` for nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from site_configs.probes.command import run
from site_configs.probes.seen import UNLIMITED, SeenQueue, SeenScheduler, clock, number

QUEUE_FORMAT = "{queue}|{queuem}|{submission}|{limits.timelimit}|{limits.range.nnodes}"
RESOURCE_FORMAT = "{nnodes}|{ncores}|{ngpus}"
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}


def look(env: Mapping[str, str]) -> SeenScheduler | str:
    """Return the Flux instance that answers here with its queues, or why there is none."""
    said, reason = run(["flux", "queue", "list", "--no-header", f"--format={QUEUE_FORMAT}"], env)
    if said is None:
        return reason or "flux said nothing"
    shapes, _ = run(
        ["flux", "resource", "list", "--no-header", "--states=free,allocated,down", f"--format={RESOURCE_FORMAT}"], env
    )
    nodes, cores = _resources(shapes or "")
    version, _ = run(["flux", "version"], env)
    found = re.search(r"^commands:\s+(\S+)", version or "", re.MULTILINE)
    queues = [_queue(line, cores) for line in said.splitlines()]
    return SeenScheduler(
        kind="flux",
        asked="flux queue list",
        version=found[1] if found else None,
        queues=tuple(queue for queue in queues if queue is not None),
        launchers=("flux",),
        nodes=nodes,
    )


def duration(text: str) -> str | None:
    """Turn a Flux Standard Duration (``30m``, ``1.5h``, ``inf``) or seconds into HH:MM:SS; None for anything else."""
    if text in ("inf", "infinity", "0", "0s"):
        return UNLIMITED
    found = re.fullmatch(r"(\d+(?:\.\d*)?)(ms|s|m|h|d|)", text.strip())
    return clock(float(found[1]) * _UNITS[found[2]]) if found else None


def _queue(line: str, cores: int | None) -> SeenQueue | None:
    """Read one line; an instance without named queues lists one that has no name."""
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != QUEUE_FORMAT.count("|") + 1 or not columns[0]:
        return None
    name, marked, submission, limit, nodes = columns
    smallest, _, largest = nodes.partition("-")
    return SeenQueue(
        name=name,
        default=marked.endswith("*"),
        up=submission == "enabled",
        max_walltime=duration(limit),
        min_nodes=number(smallest),
        max_nodes=number(largest),
        cores=cores,
    )


def _resources(text: str) -> tuple[int | None, int | None]:
    """Return the nodes of the instance, and the cores of one."""
    rows = [[number(column) or 0 for column in line.split("|")] for line in text.splitlines() if line.count("|") == 2]
    nodes, cores = sum(row[0] for row in rows), sum(row[1] for row in rows)
    return (nodes, cores // nodes) if nodes else (None, None)
