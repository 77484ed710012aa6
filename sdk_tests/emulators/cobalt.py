"""The Cobalt dialect: qsub, qstat, qdel, cqwait, nodelist and partlist of Cobalt 1.0 on Theta.

It follows Cobalt's own manual pages (man/POSIX/qsub.1, qstat.1, qdel.1 and man/cqwait.1 of github.com/ido/cobalt) and,
where they give no answer, the source of the commands. Directives must follow the first line without a gap; they are
split at white space, and quotes have no effect. A job without a walltime is refused. No command knows a job that has
ended; only its .cobaltlog file contains how it ended.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import string
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from sdk_tests.emulators import client, cobalt_status
from sdk_tests.emulators.cluster import Cluster, Job

REFUSED = 1
LONG = {
    "nodecount": "n",
    "proccount": "proccount",
    "project": "A",
    "cwd": "cwd",
    "queue": "q",
    "notify": "M",
    "env": "env",
    "time": "t",
    "umask": "u",
    "outputprefix": "O",
    "error": "e",
    "output": "o",
    "inputfile": "i",
    "debuglog": "debuglog",
    "dependencies": "dependencies",
    "attrs": "attrs",
    "jobname": "jobname",
    "mode": "mode",
}
VALUED = tuple({*LONG, *LONG.values()})
FLAGS = ("h", "held", "v", "verbose", "d", "debug", "preemptable", "run_project", "disable_preboot")
REFUSALS = {
    "no-queue": "Queue '{queue}' does not exist",
    "account": "Project '{account}' may not be charged here",
    "nodes-over": "Node count exceeds the '{queue}' queue maximum of {limit}",
    "nodes-under": "Node count is below the '{queue}' queue minimum of {limit}",
    "too-big": "Node count out of realistic range",
    "walltime-over": "Walltime greater than the '{queue}' queue max walltime of {clock}",
    "walltime-under": "Walltime less than the '{queue}' queue min walltime of {clock}",
    "queued-over": "The limit of {limit} jobs per user in the '{queue}' queue has been reached",
    "refused": "{limit}",
}

DELETES_HOPELESS = False
"""Whether a job is deleted as soon as its dependency can never be met."""
SPOOLS = False
"""Whether the output of a job is delivered when it has ended."""

# -- called by the engine ---------------------------------------------------------------------------------------------


def variables(cluster: Cluster, job: Job) -> dict[str, str]:
    nodefile = Path("nodefiles", f"{job.number}").absolute()
    nodefile.write_text("".join(f"{host}\n" for host in job.hosts))
    return {
        "COBALT_JOBID": str(job.number),
        "COBALT_NODEFILE": str(nodefile),
        "COBALT_PARTNAME": ",".join(job.hosts),
        "COBALT_PARTSIZE": str(job.nodes),
        "COBALT_JOBSIZE": str(job.lines["procs"]),
    }


def signals(by: str) -> tuple[int, ...]:
    return (signal.SIGTERM,)


def accepted(cluster: Cluster, job: Job) -> None:
    """Insert the job id into the names of the job's files, and write the first lines of its log, as qsub does."""
    files = {"stdout": job.stdout or f"{job.cwd}/{job.number}.output"}
    files["stderr"] = job.stderr or f"{job.cwd}/{job.number}.error"
    files["log"] = job.lines["log"] or f"{job.cwd}/{job.number}.cobaltlog"
    known = {"jobid": job.number, "COBALT_JOBID": job.number}
    filled = {name: string.Template(path).safe_substitute(known) for name, path in files.items()}
    job.stdout, job.stderr, job.lines["log"] = filled["stdout"], filled["stderr"], filled["log"]
    _log(job, f"Jobid: {job.number}\nqsub {job.lines['command']}\n{_stamp()} submitted with cwd set to: {job.cwd}\n")


def ending(cluster: Cluster, job: Job) -> None:
    if job.ended_by == "walltime":
        _log(job, f"{_stamp()} Info: maximum execution time exceeded; initiating job termination\n")
    elif job.ended_by == "user":
        event = f"user delete with signal SIGTERM requested by user {job.user}"
        _log(job, f"{_stamp()} Info: {event}; initiating job cleanup and removal\n")


def ended(cluster: Cluster, job: Job) -> None:
    if job.ended_by == "node":
        _log(job, f"{_stamp()} Error: execution failure; initiating job cleanup and removal\n")
    elif job.started is None:
        ending(cluster, job)
    elif job.ended_by == "walltime":
        _log(job, f"{_stamp()} Info: maximum execution time exceeded; initiating job cleanup and removal\n")
    elif job.ended_by is None:
        code = job.exit_code if job.exit_code is not None else 128 + (job.signal or 0)
        event = f"task completed normally with an exit code of {code}"
        _log(job, f"{_stamp()} Info: {event}; initiating job cleanup and removal\n")


def forgotten(cluster: Cluster, job: Job) -> None:
    """Write nothing: the log of a job that the queue manager has lost does not contain its end."""


def _stamp() -> str:
    return datetime.now(timezone.utc).strftime("%a %b %d %H:%M:%S %Y +0000 (UTC)")


def _log(job: Job, text: str) -> None:
    with Path(job.lines["log"]).open("a", encoding="utf-8") as file:
        file.write(text)


# -- qsub -------------------------------------------------------------------------------------------------------------


def qsub(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return cobalt_status.version("qsub")
    _, rest = client.options(arguments, VALUED, FLAGS)
    if not rest:
        client.refuse("No executable or script specified")
    script = Path(rest[0]).absolute()
    if not script.is_file():
        client.refuse(f"command {script} not found, or is not a file")
    if not os.access(script, os.X_OK | os.R_OK):
        client.refuse(f"command {script} is not executable")
    full = _directives(script) + arguments
    given, rest = client.options(full, VALUED, FLAGS)
    options = {LONG.get(name, name): value for name, value in given if value is not None}
    if "t" not in options:
        client.refuse("'time' not provided")
    if "n" not in options:
        client.refuse("'nodecount' not provided")
    nodes, prefix = _count(options["n"], "nodecount"), options.get("O")
    cwd = options.get("cwd") or str(Path.cwd())
    argv = [client.spool(script), *rest[1:]] if _is_text(script) else [str(script), *rest[1:]]
    answer = client.submit(
        name=options.get("jobname") or script.name,
        queue=options.get("q") or "default",
        account=options.get("A"),
        argv=argv,
        cwd=cwd,
        nodes=nodes,
        cores=max(node["cores"] for node in client.request("cluster")["nodes"]),
        exclusive=True,
        walltime=_minutes(options["t"]) * 60.0,
        env=_environment([value for name, value in given if name == "env"]),
        umask=int(options.get("u", "022"), 8),
        stdin=options.get("i"),
        stdout=_path(options.get("o") or (prefix and f"{prefix}.output"), cwd),
        stderr=_path(options.get("e") or (prefix and f"{prefix}.error"), cwd),
        lines={
            "log": _path(options.get("debuglog") or (prefix and f"{prefix}.cobaltlog"), cwd),
            "procs": _count(options.get("proccount") or options["n"], "proccount"),
            "command": shlex.join(full),
            "mode": options.get("mode", "script"),
        },
    )
    if "refused" in answer:
        span = answer["limit"] if isinstance(answer["limit"], float | int) else 0
        message = REFUSALS[answer["refused"]].format(account=options.get("A"), clock=client.clock(span), **answer)
        print(f"component error: XMLRPC failure in queue-manager.add_jobs: {message}", file=sys.stderr)
        return 1
    print(answer["number"])
    return 0


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _directives(script: Path) -> list[str]:
    """Return the arguments in the ``#COBALT`` lines directly below the first line of a script."""
    lines = script.read_text(encoding="utf-8", errors="replace").split("\n")
    arguments: list[str] = []
    if lines[0].startswith("#!"):
        for line in lines[1:]:
            if not line.startswith("#COBALT ") or len(line) <= len("#COBALT "):
                break
            arguments += line[len("#COBALT ") :].split()
    return arguments


def _minutes(text: str) -> int:
    """Parse minutes, HH:MM, HH:MM:SS or DD:HH:MM:SS into minutes; seconds are ignored."""
    units = ("minutes",), ("hours", "minutes"), ("hours", "minutes", "seconds"), ("days", "hours", "minutes", "seconds")
    parts = text.split(":")
    if len(parts) > len(units):
        client.refuse("invalid time specification: time may be specified as minutes, HH:MM, HH:MM:SS, or DD:HH:MM:SS")
    total = 0
    for unit, part in zip(units[len(parts) - 1], parts, strict=True):
        if not part.isdecimal():
            client.refuse(f"invalid time specification: illegal value '{part}' for {unit}")
        total += int(part) * {"days": 1440, "hours": 60, "minutes": 1, "seconds": 0}[unit]
    return total


def _count(text: str, what: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        client.refuse(f"{what} is {text} which is not greater than zero")
    return int(text)


def _environment(values: list[str | None]) -> dict[str, str]:
    """Return the environment of a job: the variables of a login, the PATH of qsub, and the values of ``--env``."""
    own = os.environ
    kept = {name: own[name] for name in ("PATH", "LANG") if name in own}
    kept.update(HOME=own.get("HOME", "/"), USER=client.user(), LOGNAME=client.user(), SHELL="/bin/bash")
    for pair in (pair for text in values for pair in re.split(r":(?=\w+=)", text or "")):
        name, sign, value = pair.partition("=")
        if not sign:
            client.refuse(f"Improperly formatted argument to env : {pair!r}")
        kept[name] = value
    return kept


def _path(path: str | None, cwd: str) -> str | None:
    if path is None:
        return None
    full = Path(cwd, path)
    if not full.parent.is_dir():
        client.refuse(f"directory {full} does not exist")
    return str(full)


def qdel(arguments: list[str]) -> int:
    _, names = client.options(arguments, (), ("d", "debug"))
    if not names:
        client.refuse("No Jobid(s) given")
    for name in names:
        if not name.isdecimal():
            client.refuse(f"jobid must be an integer, found {name!r}")
    results = client.request("cancel", numbers=[int(name) for name in names])
    deleted = [[number, client.user()] for number, result in results.items() if result == "ended"]
    if deleted:
        print("      Deleted Jobs")
        cobalt_status.table(["JobID", "User"], deleted)
    return 0


def _with_connection_error(command: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Wrap a command so that it prints the error message of Cobalt while the queue manager is down."""

    def run(arguments: list[str]) -> int:
        try:
            return command(arguments)
        except client.DownError as down:
            print(f"component error: Failed to connect to queue-manager: {down}", file=sys.stderr)
            return 1

    return run


_COMMANDS = {
    "qsub": qsub,
    "qstat": cobalt_status.qstat,
    "qdel": qdel,
    "cqwait": cobalt_status.cqwait,
    "nodelist": cobalt_status.nodelist,
    "partlist": cobalt_status.partlist,
}
COMMANDS = {name: _with_connection_error(command) for name, command in _COMMANDS.items()}
