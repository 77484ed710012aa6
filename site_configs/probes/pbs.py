"""PBS: ``qstat -Q -f`` for queues, as JSON where the server has it, else as text; ``qstat -B -f`` for itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from site_configs.probes.command import present, run
from site_configs.probes.seen import SeenQueue, SeenScheduler, clock, number


def look(env: Mapping[str, str]) -> SeenScheduler | str:
    """Return PBS with its queues, or why there are none."""
    queues, reason = _ask("Q", "Queue", env)
    if queues is None:
        return reason
    servers, _ = _ask("B", "Server", env)
    server = next(iter((servers or {}).values()), {})
    default = server.get("default_queue")
    return SeenScheduler(
        kind="pbs",
        asked="qstat -Q -f",
        version=str(server["pbs_version"]) if "pbs_version" in server else None,
        queues=tuple(_queue(name, said, name == default) for name, said in queues.items()),
        launchers=present(["mpiexec"], env),
    )


def walltime(text: object) -> str | None:
    """Turn PBS's ``[[hours:]minutes:]seconds`` into HH:MM:SS; None for anything else."""
    parts = str(text).strip().split(":")
    if not 1 <= len(parts) <= 3 or not all(part.isdigit() for part in parts):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return clock(seconds)


def _ask(what: str, heading: str, env: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]] | None, str]:
    """Return what PBS says of its queues or servers, by name."""
    said, reason = run(["qstat", f"-{what}", "-f", "-F", "json"], env)
    if said is not None:
        try:
            listed = json.loads(said).get(heading, {})
        except (ValueError, AttributeError):
            return None, "qstat printed something else than JSON"
        return listed, f"qstat lists no {heading.lower()}"
    if reason and reason.startswith(("no qstat", "qstat did not")):
        return None, reason
    said, reason = run(["qstat", f"-{what}", "-f"], env)
    if said is None:
        return None, reason or "qstat said nothing"
    listed = _text(said, heading)
    return (listed or None), f"qstat lists no {heading.lower()}"


def _text(said: str, heading: str) -> dict[str, dict[str, Any]]:
    """Read the long format: ``Queue: NAME``, then indented ``key = value``, long values going on after a tab."""
    found: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] = {}
    for line in said.replace("\n\t", "").splitlines():
        title = re.match(rf"{heading}: (\S+)", line)
        if title:
            current = found.setdefault(title[1], {})
        elif " = " in line:
            key, _, value = line.strip().partition(" = ")
            name, _, resource = key.partition(".")
            if resource:
                current.setdefault(name, {})[resource] = value
            else:
                current[name] = value
    return found


def _queue(name: str, said: dict[str, Any], default: bool) -> SeenQueue:
    largest, smallest = said.get("resources_max") or {}, said.get("resources_min") or {}
    return SeenQueue(
        name=name,
        default=default,
        up=str(said.get("enabled")) == "True",
        max_walltime=walltime(largest.get("walltime", "")),
        min_walltime=walltime(smallest.get("walltime", "")),
        max_nodes=number(largest.get("nodect", "")),
        min_nodes=number(smallest.get("nodect", "")),
        max_running=_per_user(said.get("max_run")),
        max_queued=_per_user(said.get("max_queued")),
        routes=tuple(str(said.get("route_destinations") or "").replace(" ", "").split(","))
        if said.get("route_destinations")
        else (),
    )


def _per_user(limit: object) -> int | None:
    """Read ``[u:PBS_GENERIC=1]``: what any one user may have."""
    found = re.search(r"\[u:PBS_GENERIC=(\d+)\]", str(limit))
    return int(found[1]) if found else None
