"""Probe PBS: ``qstat -Q -f`` for queues and ``qstat -B -f`` for the server, as JSON if the server has it, else text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from site_configs.probes.command import present, run
from site_configs.probes.observed import ObservedQueue, ObservedScheduler, clock, number


def probe(env: Mapping[str, str]) -> ObservedScheduler | str:
    """Return PBS with its queues, or the reason why there are none."""
    queues, reason = _query("Q", "Queue", env)
    if queues is None:
        return reason
    servers, _ = _query("B", "Server", env)
    server = next(iter((servers or {}).values()), {})
    default = server.get("default_queue")
    return ObservedScheduler(
        kind="pbs",
        command="qstat -Q -f",
        version=str(server["pbs_version"]) if "pbs_version" in server else None,
        queues=tuple(_queue(name, attributes, name == default) for name, attributes in queues.items()),
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


def _query(option: str, heading: str, env: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]] | None, str]:
    """Return the attributes of the queues (option Q) or servers (option B) by name, or None and the reason."""
    output, reason = run(["qstat", f"-{option}", "-f", "-F", "json"], env)
    if output is not None:
        try:
            listed = json.loads(output).get(heading, {})
        except (ValueError, AttributeError):
            return None, "qstat printed something that is not JSON"
        return listed, f"qstat lists no {heading.lower()}"
    if reason and reason.startswith(("no qstat", "qstat did not")):
        return None, reason
    output, reason = run(["qstat", f"-{option}", "-f"], env)
    if output is None:
        return None, reason or "qstat printed nothing"
    listed = _text(output, heading)
    return (listed or None), f"qstat lists no {heading.lower()}"


def _text(output: str, heading: str) -> dict[str, dict[str, Any]]:
    """Read the long format: ``Queue: NAME``, then indented ``key = value``; a tab continues a long value."""
    objects: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] = {}
    for line in output.replace("\n\t", "").splitlines():
        title = re.match(rf"{heading}: (\S+)", line)
        if title:
            current = objects.setdefault(title[1], {})
        elif " = " in line:
            key, _, value = line.strip().partition(" = ")
            name, _, resource = key.partition(".")
            if resource:
                current.setdefault(name, {})[resource] = value
            else:
                current[name] = value
    return objects


def _queue(name: str, attributes: dict[str, Any], default: bool) -> ObservedQueue:
    largest, smallest = attributes.get("resources_max") or {}, attributes.get("resources_min") or {}
    return ObservedQueue(
        name=name,
        default=default,
        up=str(attributes.get("enabled")) == "True",
        max_walltime=walltime(largest.get("walltime", "")),
        min_walltime=walltime(smallest.get("walltime", "")),
        max_nodes=number(largest.get("nodect", "")),
        min_nodes=number(smallest.get("nodect", "")),
        max_running=_per_user(attributes.get("max_run")),
        max_queued=_per_user(attributes.get("max_queued")),
        routes=tuple(str(attributes.get("route_destinations") or "").replace(" ", "").split(","))
        if attributes.get("route_destinations")
        else (),
    )


def _per_user(limit: object) -> int | None:
    """Read the limit for any one user, such as ``[u:PBS_GENERIC=1]``."""
    match = re.search(r"\[u:PBS_GENERIC=(\d+)\]", str(limit))
    return int(match[1]) if match else None
