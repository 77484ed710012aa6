"""Look at the machine this runs on, for the draft of a site file: host name, cores, Slurm's partitions, module system.

Read-only and short: each command has a time limit, and one that is absent or fails leaves a reason behind.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

COMMAND_SECONDS = 10
SINFO_FIELDS = ("%P", "%a", "%l", "%s", "%D", "%c", "%m", "%G", "%h")
NAMING_VARIABLES = ("LMOD_SYSTEM_NAME", "LCSCHEDCLUSTER", "NERSC_HOST")
"""Variables by which facilities name a machine to its users; better patterns than host names, which differ by node."""


@dataclass(frozen=True)
class Partition:
    """A partition as ``sinfo`` shows it; None where there is no limit or it could not be read."""

    name: str
    default: bool
    up: bool
    max_walltime: str | None
    max_nodes: int | None
    nodes: int
    cores: int | None
    memory_gb: int | None
    gres: str | None
    exclusive: bool


@dataclass(frozen=True)
class Facts:
    """What was found; ``no_slurm`` says why there are no partitions."""

    hostname: str
    variables: dict[str, str]
    cores: int
    architecture: str
    partitions: tuple[Partition, ...] = ()
    slurm_version: str | None = None
    no_slurm: str | None = None
    launchers: tuple[str, ...] = ()
    module_system: str | None = None
    loaded: tuple[str, ...] = field(default=())


def survey(environ: Mapping[str, str] | None = None, hostname: str | None = None) -> Facts:
    """Look around; takes a few seconds at most and raises for nothing that is absent."""
    env = dict(os.environ if environ is None else environ)
    partitions, no_slurm = slurm_partitions(env)
    version, _ = _run(["sinfo", "--version"], env) if partitions else (None, None)
    return Facts(
        hostname=socket.gethostname() if hostname is None else hostname,
        variables={name: env[name] for name in NAMING_VARIABLES if env.get(name, "").strip()},
        cores=_cores(env),
        architecture=platform.machine(),
        partitions=partitions,
        slurm_version=_family(version),
        no_slurm=no_slurm,
        launchers=tuple(name for name in ("srun",) if partitions and shutil.which(name, path=env.get("PATH"))),
        module_system=_module_system(env),
        loaded=tuple(name for name in env.get("LOADEDMODULES", "").split(":") if name),
    )


def answering(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the kinds of scheduler that answer here as the machine's own, as far as this room can ask them.

    A testbed's is left out: the record of it lies beside the configuration that the environment names.
    """
    env = dict(os.environ if environ is None else environ)
    named = env.get("SLURM_CONF")
    if named and (Path(named).parent / "testbed.json").exists():
        return []
    partitions, _ = slurm_partitions(env)
    return ["slurm"] if partitions else []


def slurm_partitions(env: Mapping[str, str]) -> tuple[tuple[Partition, ...], str | None]:
    """Return Slurm's partitions, or none and the reason."""
    said, reason = _run(["sinfo", "--noheader", "--format=" + "|".join(SINFO_FIELDS)], env)
    if said is None:
        return (), reason
    merged: dict[str, Partition] = {}
    for line in said.splitlines():
        partition = _partition(line)
        if partition is None:
            continue
        known = merged.get(partition.name)
        merged[partition.name] = (
            partition
            if known is None
            else replace(
                known,
                nodes=known.nodes + partition.nodes,
                cores=_smaller(known.cores, partition.cores),
                memory_gb=_smaller(known.memory_gb, partition.memory_gb),
            )
        )
    return tuple(merged.values()), None if merged else "sinfo lists no partition"


def walltime(text: str) -> str | None:
    """Turn Slurm's ``[days-][hours:]minutes:seconds`` into HH:MM:SS; None for no limit or anything else."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if not found:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return f"{days * 24 + hours:02}:{minutes:02}:{rest:02}"


def _partition(line: str) -> Partition | None:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != len(SINFO_FIELDS) or not columns[0].rstrip("*"):
        return None
    name, avail, limit, size, nodes, cores, memory, gres, share = columns
    largest = size.rpartition("-")[2]
    megabytes = _number(memory)
    return Partition(
        name=name.rstrip("*"),
        default=name.endswith("*"),
        up=avail == "up",
        max_walltime=walltime(limit),
        max_nodes=_number(largest) or None,
        nodes=_number(nodes) or 0,
        cores=_number(cores),
        memory_gb=megabytes // 1024 if megabytes and megabytes >= 1024 else None,
        gres=None if gres in ("", "(null)") else gres,
        exclusive=share.upper().startswith("EXCL"),
    )


def _number(text: str) -> int | None:
    """Read sinfo's numbers; ``64+`` means at least 64, which is what every node has."""
    digits = text.rstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _family(version: str | None) -> str | None:
    found = re.search(r"(\d+\.\d+)", version or "")
    return found[1] if found else None


def _cores(env: Mapping[str, str]) -> int:
    """Count physical cores where lscpu can tell, else what the system counts."""
    said, _ = _run(["lscpu", "--parse=CORE,SOCKET"], env)
    pairs = {line for line in (said or "").splitlines() if line and not line.startswith("#")}
    return len(pairs) or os.cpu_count() or 1


def _module_system(env: Mapping[str, str]) -> str | None:
    if env.get("LMOD_CMD") or env.get("LMOD_VERSION"):
        return "lmod"
    return "environment-modules" if env.get("MODULES_CMD") or env.get("MODULESHOME") else None


def _run(argv: Sequence[str], env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return a command's output, or None and one line that says why there is none."""
    program = shutil.which(argv[0], path=env.get("PATH"))
    if program is None:
        return None, f"no {argv[0]} on PATH"
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            env={**env, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None, f"{argv[0]} did not answer in {COMMAND_SECONDS} s"
    except OSError as error:
        return None, f"{argv[0]} could not be started: {error.strerror or error}"
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return None, f"{argv[0]} exited with {done.returncode}" + (f": {said[-1]}" if said else "")
    return done.stdout, None
