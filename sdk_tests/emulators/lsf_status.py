"""The commands of LSF that report jobs, queues and hosts: bjobs, bqueues, bhosts and lsid, as in their manual pages."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from sdk_tests.emulators import client

VERSION = "IBM Spectrum LSF Standard 10.1.0.13 (emulated by the ExaWorks SDK)"
REASONS = {
    "user": "TERM_OWNER: job killed by owner",
    "walltime": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "node": "TERM_ZOMBIE: job exited while LSF was not available",
}
PEND_REASONS = {
    "resources": "Not enough hosts to meet the job's spanning requirement",
    "user-limit": "User has reached the per-user job slot limit of the queue",
    "dependency": "Job dependency condition not satisfied",
    "time": "Job's start time has not been reached",
    "user": "Job was suspended by the user while pending",
    "requeued": "Job was preempted and requeued; waiting to be scheduled",
    "system": "Job was suspended by LSF admin or root while pending",
}


def code(job: dict[str, Any]) -> int:
    """Return the exit code that LSF reports for an ended job; 128 plus the number of a signal."""
    if job["ended_by"] == "node":
        return 255
    return int(job["exit_code"] if job["exit_code"] is not None else 128 + (job["signal"] or signal.SIGINT))


def succeeded(job: dict[str, Any]) -> bool:
    """Return whether an ended job counts as done."""
    return job["exit_code"] == 0 and not job["ended_by"]


def name(job: dict[str, Any]) -> str:
    """Return the name of a job; the name of an array element ends in its index."""
    return f"{job['name']}[{job['lines']['index']}]" if "array" in job["lines"] else str(job["name"])


def job_id(job: dict[str, Any]) -> str:
    """Return the id of one job as ``bjobs -l`` prints it: with the index of an array element."""
    lines = job["lines"]
    return f"{lines['array']}[{lines['index']}]" if "array" in lines else str(job["number"])


def matching(jobs: Sequence[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    """Return the jobs that an id of the command line names: one job, an array, or one element of it."""
    if not re.fullmatch(r"\d+(\[\d+\])?", word):
        client.refuse_plainly(f"{word}: Illegal job ID.")
    return [job for job in jobs if word in (job_id(job), str(job["lines"].get("array", job["number"])))]


def _stat(job: dict[str, Any]) -> str:
    if job["state"] == "done":
        return "DONE" if succeeded(job) else "EXIT"
    if job["state"] == "held":
        return "PEND" if job["reason"] in ("requeued", "dependency", "time") else "PSUSP"
    if job["state"] == "running" and job["lines"].get("stopped"):
        return "USUSP"
    return {"queued": "PEND", "running": "RUN", "lost": "UNKWN"}[job["state"]]


def _time(instant: float | None) -> str:
    return time.strftime("%b %e %H:%M", time.localtime(instant)) if instant else ""


def _pend(job: dict[str, Any]) -> str:
    return str(round((job["started"] or job["ended"] or time.time()) - job["submitted"]))


FIELDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "JOBID": lambda job: str(job["lines"].get("array", job["number"])),
    "JOBINDEX": lambda job: str(job["lines"].get("index", 0)),
    "STAT": _stat,
    "USER": lambda job: str(job["user"]),
    "QUEUE": lambda job: str(job["queue"]),
    "JOB_NAME": name,
    "PROJ_NAME": lambda job: job["account"] or "default",
    "FROM_HOST": lambda job: "login",
    "EXEC_HOST": lambda job: ":".join(f"{job['cores']}*{host}" for host in job["hosts"]),
    "EXIT_CODE": lambda job: str(code(job)) if _stat(job) == "EXIT" else "",
    "EXIT_REASON": lambda job: REASONS.get(job["ended_by"], "") if _stat(job) == "EXIT" else "",
    "KILL_REASON": lambda job: "",
    "SUSPEND_REASON": lambda job: "",
    "PEND_REASON": lambda job: f"{PEND_REASONS.get(job['reason'], '')}; " if job["reason"] in PEND_REASONS else "",
    "PEND_TIME": _pend,
    "SUBMIT_TIME": lambda job: _time(job["submitted"]),
    "START_TIME": lambda job: _time(job["started"]),
    "FINISH_TIME": lambda job: _time(job["ended"]),
    "SUB_CWD": lambda job: str(job["cwd"]),
    "COMMAND": lambda job: str(job["lines"]["command"]),
}
SUSPENDED = ("PSUSP", "USUSP", "SSUSP")
BY_STATE = {"r": ("RUN",), "p": ("PEND", "PSUSP"), "d": ("DONE", "EXIT"), "s": SUSPENDED[1:]}
NONE_FOUND = {"r": "running", "p": "pending", "d": "DONE/EXIT", "s": "suspended"}
NO_JOB = 254
DEFAULT_FIELDS = ("JOBID", "USER", "STAT", "QUEUE", "FROM_HOST", "EXEC_HOST", "JOB_NAME", "SUBMIT_TIME")


def bjobs(arguments: list[str]) -> int:
    given, ids = parse_options("bjobs", arguments, ("o", "u", "q", "J", "m", "P"), ("json", "a", "noheader", "wlrpds"))
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    names, delimiter = _fields(options["o"]) if "o" in options else (DEFAULT_FIELDS, None)
    jobs = client.request("jobs")
    missing = [word for word in ids if not matching(jobs, word)]
    if "q" in options and options["q"] not in [queue["name"] for queue in cluster()["queues"]]:
        client.refuse_plainly(f"{options['q']}: No such queue", NO_JOB)
    filtered = [job for job in jobs if options.get("q", job["queue"]) == job["queue"]]
    if "J" in options:
        filtered = [job for job in filtered if options["J"] in (job["name"], name(job))]
        if not filtered:
            client.refuse_plainly(f"Job <{options['J']}> is not found", NO_JOB)
    states = [state for flag, wanted in BY_STATE.items() if flag in flags for state in wanted]
    if ids:
        jobs = [job for job in filtered if any(job in matching(jobs, word) for word in ids)]
    else:
        owner = options.get("u", client.user())
        ended = bool(flags & {"a", "d"})
        jobs = [job for job in filtered if owner in ("all", job["user"]) and (ended or job["state"] != "done")]
    if states:
        jobs = [job for job in jobs if _stat(job) in states]
    if "json" in flags:
        records: list[dict[str, str]] = [{name: FIELDS[name](job) for name in names} for job in jobs]
        records += [{"JOBID": word, "ERROR": f"Job <{word}> is not found"} for word in missing]
        print(json.dumps({"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}, indent=2))
        return 0
    if "l" in flags:
        for job in jobs:
            _long(job)
    elif jobs or "o" in options:
        empty = "-" if "o" in options or "w" in flags else ""
        rows = [[FIELDS[name](job) or empty for name in names] for job in jobs]
        _table(rows if "noheader" in flags else [list(names), *rows], delimiter)
    for word in missing:
        print(f"Job <{word}> is not found", file=sys.stderr)
    if not jobs and not ids:
        kind = next((words for flag, words in NONE_FOUND.items() if flag in flags), "")
        print(
            f"No {kind} job found" if kind else "No job found" if "a" in flags else "No unfinished job found",
            file=sys.stderr,
        )
        return NO_JOB
    return 255 if missing else 0


def parse_options(
    command: str, arguments: list[str], valued: tuple[str, ...], flags: tuple[str, ...]
) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Parse the options of a command; the letters of the last word of flags are flags of their own."""
    try:
        given, rest = client.options(arguments, valued, (*flags[:-1], *flags[-1]))
    except client.RefusedError as refused:
        word = str(refused).removeprefix("option ").partition(" ")[0].lstrip("-")
        client.refuse(f"invalid option -- '{word}'\nusage: {command} [option]...")
    return given, rest


def _long(job: dict[str, Any]) -> None:
    """Print a job as ``bjobs -l`` does: lines of at most 80 characters, the later ones indented."""
    files = job["lines"].get("files", {})
    slots = job["nodes"] * job["cores"]
    words = [
        f"Job <{job_id(job)}>, Job Name <{name(job)}>, User <{job['user']}>, Project <{job['account'] or 'default'}>, "
        f"Status <{_stat(job)}>, Queue <{job['queue']}>, Command <{job['lines'].get('command') or name(job)}>",
        f"{_time(job['submitted'])}: Submitted from host <login>, CWD <{job['cwd']}>"
        + (f", Output File <{files['o']}>" if "o" in files else "")
        + (f", Error File <{files['e']}>" if "e" in files else "")
        + (f", {slots} Processors Requested" if slots > 1 else "")
        + ";",
    ]
    if job["started"]:
        hosts = " ".join(f"<{job['cores']}*{host}>" if job["cores"] > 1 else f"<{host}>" for host in job["hosts"])
        words.append(f"{_time(job['started'])}: Started on {hosts};")
    if _stat(job) == "DONE":
        words.append(f"{_time(job['ended'])}: Done successfully.")
    elif _stat(job) == "EXIT":
        words.append(f"{_time(job['ended'])}: Exited with exit code {code(job)}.")
    elif job["reason"] in PEND_REASONS:
        words.append(f" PENDING REASONS:\n {PEND_REASONS[job['reason']]};")
    print()
    for text in words:
        for start in range(0, len(text), 80 if text is words[0] else 79):
            print((" " * 21 if start else "") + text[start : start + (80 if text is words[0] else 79)])
    print()


def _fields(text: str) -> tuple[tuple[str, ...], str | None]:
    delimiter = None
    names = []
    for word in shlex.split(text):
        if word.lower().startswith("delimiter="):
            delimiter = word.partition("=")[2]
            continue
        name = word.partition(":")[0].upper()
        if name not in FIELDS:
            client.refuse(f"{word}: Invalid field name")
        names.append(name)
    return tuple(names), delimiter


def _table(rows: list[list[str]], delimiter: str | None = None) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        if delimiter is not None:
            print(delimiter.join(row))
        else:
            print(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def cluster() -> dict[str, Any]:
    """Return the nodes, queues and settings of the cluster."""
    answer: dict[str, Any] = client.request("cluster")
    return answer


def bqueues(arguments: list[str]) -> int:
    given, names = parse_options("bqueues", arguments, ("o", "u", "m"), ("noheader", "lw"))
    queues = [queue for queue in cluster()["queues"] if not names or queue["name"] in names]
    if names and not queues:
        client.refuse_plainly(f"{names[0]}: No such queue", 255)
    if ("l", None) in given:
        for queue in queues:
            print(f"QUEUE: {queue['name']}\n  -- emulated\n\nPARAMETERS/STATISTICS\nMAXIMUM LIMITS:")
            if queue["max_walltime"]:
                print(f" RUNLIMIT\n {queue['max_walltime'] / 60:.1f} min")
            if queue["max_nodes"]:
                print(f" HOSTLIMIT_PER_JOB\n {queue['max_nodes']}")
            print()
        return 0
    head = ["QUEUE_NAME", "PRIO", "STATUS", "MAX", "JL/U", "JL/P", "JL/H", "NJOBS", "PEND", "RUN", "SUSP"]
    rows = [_queue(queue) for queue in queues]
    _table(rows if ("noheader", None) in given else [head, *rows])
    return 0


def _queue(queue: dict[str, Any]) -> list[str]:
    counts = (queue["waiting"] + queue["running"], queue["waiting"], queue["running"], 0)
    return [queue["name"], "30", "Open:Active", "-", "-", "-", "-", *map(str, counts)]


def bhosts(arguments: list[str]) -> int:
    _, names = parse_options("bhosts", arguments, ("R",), ("wla",))
    known = [node["name"] for node in cluster()["nodes"]]
    for wanted in names:
        if wanted not in known:
            client.refuse_plainly(f"{wanted}: Bad host name, host group name or cluster name", 255)
    rows = [["HOST_NAME", "STATUS", "JL/U", "MAX", "NJOBS", "RUN", "SSUSP", "USUSP", "RSV"]]
    for node in (node for node in cluster()["nodes"] if not names or node["name"] in names):
        used = node["cores"] - node["free"] if node["up"] else 0
        status = "unavail" if not node["up"] else "closed_Full" if not node["free"] else "ok"
        rows.append([node["name"], status, "-", str(node["cores"]), *([str(used)] * 2), "0", "0", "0"])
    _table(rows)
    return 0


def lsid(arguments: list[str]) -> int:
    client.options(arguments, (), ())
    print(f"{VERSION}\n\nMy cluster name is emulated\nMy master name is {cluster()['host']}")
    return 0
