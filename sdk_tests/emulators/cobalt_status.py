"""The commands of Cobalt that report jobs, queues and nodes: qstat, cqwait, nodelist and partlist."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from sdk_tests.emulators import client

VERSION = "1.0.32 (emulated by the ExaWorks SDK)"


def _state(job: dict[str, Any]) -> str:
    if job["state"] == "held":
        return "preempted" if job["reason"] == "requeued" else "admin_hold"
    if job["state"] == "queued":
        return "maxrun_hold" if job["reason"] == "user-limit" else "queued"
    return "killing" if job["ending"] else "running"


def _elapsed(job: dict[str, Any]) -> str:
    return client.clock(time.time() - job["started"]) if job["started"] else "N/A"


def _instant(instant: float | None) -> str:
    if instant is None:
        return "N/A"
    return datetime.fromtimestamp(instant, timezone.utc).strftime("%a %b %d %H:%M:%S %Y +0000 (UTC)")


SHORT = {"queued": "Q", "running": "R", "killing": "K", "preempted": "P", "admin_hold": "H", "maxrun_hold": "H"}
FIELDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "jobid": lambda job: job["number"],
    "jobname": lambda job: job["name"],
    "user": lambda job: job["user"],
    "walltime": lambda job: client.clock(job["walltime"]),
    "queuedtime": lambda job: client.clock((job["started"] or time.time()) - job["submitted"]),
    "runtime": _elapsed,
    "nodes": lambda job: job["nodes"],
    "state": _state,
    "location": lambda job: ",".join(job["hosts"]) or "None",
    "mode": lambda job: job["lines"]["mode"],
    "procs": lambda job: job["lines"]["procs"],
    "queue": lambda job: job["queue"],
    "starttime": lambda job: _instant(job["started"]),
    "submittime": lambda job: _instant(job["submitted"]),
    "project": lambda job: job["account"],
    "outputdir": lambda job: job["cwd"],
    "outputpath": lambda job: job["stdout"],
    "errorpath": lambda job: job["stderr"],
    "command": lambda job: job["argv"][0],
    "short_state": lambda job: SHORT[_state(job)],
}
DEFAULT_COLUMNS = ("JobID", "User", "WallTime", "Nodes", "State", "Location")
FULL = ("JobID", "JobName", "User", "WallTime", "QueuedTime", "RunTime", "Nodes", "State", "Location", "Mode", "Procs")
LONGEST = (*FULL, "Queue", "StartTime", "SubmitTime", "OutputDir", "ErrorPath", "OutputPath", "Project", "short_state")


def qstat(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return version("qstat")
    flags = ("f", "full", "l", "long", "Q", "reverse")
    given, names = client.options(arguments, ("header", "u", "user", "sort"), flags)
    options, enabled = dict(given), {name[0] for name, value in given if value is None}
    if "Q" in enabled:
        return _queues(names)
    header: tuple[str, ...] = DEFAULT_COLUMNS
    if "header" in options:
        header = tuple(options["header"].split(":"))
    elif "f" in enabled:
        header = LONGEST if "l" in enabled else FULL
    for name in names:
        if not name.isdecimal():
            client.refuse(f"{name} is not a valid jobid or queue name")
    jobs = client.request("jobs", numbers=[int(name) for name in names] or None)
    user = options.get("user") or options.get("u")
    jobs = [job for job in jobs if job["state"] != "done" and user in (None, job["user"])]
    if names and not jobs:
        return 1
    rows = [[_cell(name.lower(), job) for name in header] for job in jobs]
    shown = ["S" if name == "short_state" else name for name in header]
    if "l" in enabled:
        width = max(map(len, shown)) + 1
        for row in rows:
            print(f"{shown[0]}: {row[0]}")
            for name, cell in list(zip(shown, row, strict=True))[1:]:
                print(f"    {name:<{width}}: {cell}")
            print()
    else:
        table(shown, rows)
    return 0


def _cell(name: str, job: dict[str, Any]) -> str:
    return str(FIELDS[name](job)) if name in FIELDS else "-"


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print a table in the format of Cobalt."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print("".join(f"{cell:<{width}}  " for cell, width in zip(header, widths, strict=True)))
    print("=" * (sum(widths) + 2 * len(widths)))
    for row in rows:
        print("".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=True)))


def _queues(names: list[str]) -> int:
    queues = [queue for queue in client.request("cluster")["queues"] if not names or queue["name"] in names]
    if names and not queues:
        return 1
    head = ["Name", "Users", "Groups", "MinTime", "MaxTime", "MaxRunning", "MaxQueued", "MaxUserNodes", "MaxNodeHours"]
    rows = []
    for queue in queues:
        times = [client.clock(queue[key]) if queue[key] else "None" for key in ("min_walltime", "max_walltime")]
        limits = [str(queue["max_running"]), str(queue["max_queued"]), str(queue["max_nodes"]), "None"]
        rows.append([queue["name"], "None", "None", *times, *limits, "None", "running"])
    table([*head, "TotalNodes", "State"], rows)
    return 0


def cqwait(arguments: list[str]) -> int:
    _, names = client.options(arguments, (), ("r", "v"))
    while any(job["state"] != "done" for job in client.request("jobs", numbers=[int(name) for name in names])):
        time.sleep(0.1)
    return 0


def nodelist(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return version("nodelist")
    rows = []
    for node in client.request("cluster")["nodes"]:
        state = "down" if not node["up"] else "idle" if node["free"] == node["cores"] else "allocated"
        rows.append([node["name"], "*", state, "-"])
    table(["Host", "Queue", "State", "Backfill"], rows)
    return 0


def partlist(arguments: list[str]) -> int:
    return version("partlist") if arguments == ["--version"] else nodelist(arguments)


def version(name: str) -> int:
    print(f"{name} cobalt {VERSION}")
    return 0
