"""Probe Slurm: ``sinfo`` for partitions, ``sacctmgr`` for the limits of a QOS, ``sbatch --test-only`` for accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from site_configs.probes.command import present, run
from site_configs.probes.observed import UNLIMITED, ObservedQueue, ObservedScheduler, number

SINFO_FIELDS = ("%P", "%a", "%l", "%s", "%D", "%c", "%m", "%G", "%h")
QOS_FIELDS = ("Name", "MaxWall", "MaxTRES", "MaxJobsPU", "MaxSubmitPU")


@dataclass(frozen=True)
class Qos:
    """The limits of a QOS as ``sacctmgr show qos`` lists them; None: no limit."""

    name: str
    max_walltime: str | None = None
    max_nodes: int | None = None
    max_running: int | None = None
    max_queued: int | None = None


def probe(env: Mapping[str, str]) -> ObservedScheduler | str:
    """Return Slurm with its partitions, or the reason why there are none."""
    listing, reason = run(["sinfo", "--noheader", "--format=" + "|".join(SINFO_FIELDS)], env)
    if listing is None:
        return reason or "sinfo printed nothing"
    merged: dict[str, ObservedQueue] = {}
    for line in listing.splitlines():
        partition = _partition(line)
        if partition is None:
            continue
        known = merged.get(partition.name)
        merged[partition.name] = (
            partition
            if known is None
            else replace(
                known,
                nodes=(known.nodes or 0) + (partition.nodes or 0),
                cores=_smaller(known.cores, partition.cores),
                memory_gb=_smaller(known.memory_gb, partition.memory_gb),
            )
        )
    if not merged:
        return "sinfo lists no partition"
    version, _ = run(["sinfo", "--version"], env)
    nodes, _ = run(["sinfo", "--noheader", "--Node", "--format=%N"], env)
    return ObservedScheduler(
        kind="slurm",
        command="sinfo",
        version=version.split()[-1] if version and version.split() else None,
        queues=tuple(merged.values()),
        launchers=present(["srun"], env),
        nodes=len(set(nodes.split())) if nodes else None,
    )


def qos(env: Mapping[str, str]) -> dict[str, Qos] | str:
    """Return every QOS by name, or the reason why they are not known: without a database Slurm has no QOS."""
    listing, reason = run(
        ["sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=" + ",".join(QOS_FIELDS)],
        env,
    )
    if listing is None:
        return reason or "sacctmgr printed nothing"
    qualities = {}
    for line in listing.splitlines():
        columns = line.split("|")
        if len(columns) == len(QOS_FIELDS):
            name, wall, tres, running, queued = columns
            nodes = re.search(r"\bnode=(\d+)", tres)
            max_nodes = int(nodes[1]) if nodes else None
            qualities[name] = Qos(name, walltime(wall), max_nodes, number(running), number(queued))
    return qualities


def account_refused(
    account: str, partition: str | None, quality: str | None, nodes: int, directives: list[str], env: Mapping[str, str]
) -> tuple[bool, str | None]:
    """Check whether Slurm would accept a job of this account, without submitting one.

    Returns:
        Whether Slurm refuses the job because of its account, and Slurm's message if it refuses the job for any reason.
    """
    argv = ["sbatch", "--test-only", f"--account={account}", f"--nodes={nodes}", "--time=1", "--wrap=true"]
    argv += [f"--partition={partition}"] * bool(partition) + [f"--qos={quality}"] * bool(quality) + directives
    _, reason = run(argv, env)
    return bool(reason and re.search(r"\baccount\b", reason, re.IGNORECASE)), reason


def walltime(text: str) -> str | None:
    """Turn Slurm's ``[days-][hours:]minutes:seconds`` into HH:MM:SS; None for no limit or anything else."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if not match:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return f"{days * 24 + hours:02}:{minutes:02}:{rest:02}"


def _partition(line: str) -> ObservedQueue | None:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != len(SINFO_FIELDS) or not columns[0].rstrip("*"):
        return None
    name, avail, limit, size, nodes, cores, memory, gres, share = columns
    smallest, _, largest = size.rpartition("-")
    megabytes = number(memory)
    return ObservedQueue(
        name=name.rstrip("*"),
        default=name.endswith("*"),
        up=avail == "up",
        max_walltime=UNLIMITED if limit == "infinite" else walltime(limit),
        max_nodes=number(largest) or None,
        min_nodes=number(smallest or largest),
        nodes=number(nodes) or 0,
        cores=number(cores),
        memory_gb=megabytes // 1024 if megabytes and megabytes >= 1024 else None,
        gres=None if gres in ("", "(null)") else gres,
        exclusive=share.upper().startswith("EXCL"),
    )


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)
