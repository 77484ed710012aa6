"""The PBS dialect: qsub, qstat, qdel, qselect and pbsnodes of PBS Professional 2022.1 and OpenPBS 23.06.

It follows the manual pages qsub(1B), qstat(1B), qdel(1B), qselect(1B), pbsnodes(8B) and pbs_job_attributes(7B), and the
tables of job states and job exit codes in the Reference Guide. ``filesystems`` is a resource of ALCF that a hook there
requires of every job. The configuration of a cluster lists the resources in addition to those of PBS.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdk_tests.emulators import client, pbs_status
from sdk_tests.emulators.cluster import Cluster, Job

REFUSED = 2
VALUED = ("A", "C", "e", "j", "k", "l", "M", "m", "N", "o", "P", "p", "q", "r", "S", "v", "W", "c", "R", "u")
FLAGS = ("h", "V", "z", "X")
OWN = ("select", "place", "walltime", "nodes", "ncpus", "mem", "ngpus", "mpiprocs", "pmem", "vmem", "cput", "nodect")
CHUNK = ("ncpus", "mpiprocs", "ompthreads", "mem", "ngpus", "host", "vnode", "ppn", "gpus")
REFUSALS = {
    "no-queue": ("qsub: Unknown queue", 170),
    "account": ("qsub: Request rejected.  Reason: account {account!r} is not one that may be charged here", 32),
    "nodes-over": ("qsub: Job violates queue and/or server resource limits", 188),
    "nodes-under": ("qsub: Job violates queue and/or server resource limits", 188),
    "too-big": ("qsub: Job violates queue and/or server resource limits", 188),
    "walltime-over": ("qsub: Job violates queue and/or server resource limits", 188),
    "walltime-under": ("qsub: Job violates queue and/or server resource limits", 188),
    "queued-over": ("qsub: would exceed queue {queue}'s per-user limit of jobs in 'Q' state", 229),
    "refused": ("qsub: {limit}", 32),
}

# -- called by the engine ---------------------------------------------------------------------------------------------


def variables(cluster: Cluster, job: Job) -> dict[str, str]:
    """Return the variables that MOM sets for a job, and write its node file: one line for each MPI process."""
    nodefile = Path("nodefiles", f"{job.number}").absolute()
    nodefile.write_text("".join(f"{host}\n" * job.lines.get("mpiprocs", 1) for host in job.hosts))
    return {
        "PBS_JOBID": f"{job.number}.{cluster.host}",
        "PBS_JOBNAME": job.name,
        "PBS_QUEUE": job.queue,
        "PBS_NODEFILE": str(nodefile),
        "PBS_NODENUM": "0",
        "PBS_TASKNUM": "1",
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "NCPUS": str(job.cores),
    }


def signals(by: str) -> tuple[int, ...]:
    return (signal.SIGTERM,)


def accepted(cluster: Cluster, job: Job) -> None:
    """Set the output files of a job. Without ``-o`` or ``-e``, or with a folder, the names follow qsub(1B)."""
    for name, letter in (("stdout", "o"), ("stderr", "e")):
        path = Path(job.cwd, getattr(job, name) or f"{job.name}.{letter}{job.number}")
        path = path / f"{job.number}.{cluster.host}.{'OU' if letter == 'o' else 'ER'}" if path.is_dir() else path
        setattr(job, name, str(path))
    if job.lines.get("join") in ("oe", "eo"):
        job.stdout = job.stderr = job.stdout if job.lines["join"] == "oe" else job.stderr
    job.cwd = job.env.get("HOME", "/") if job.env.get("HOME") and Path(job.env["HOME"]).is_dir() else "/"


def ending(cluster: Cluster, job: Job) -> None:
    if job.ended_by == "walltime" and job.stderr:
        used = int(time.time() - (job.started or time.time()))
        with Path(job.stderr).open("a") as file:
            file.write(f"=>> PBS: job killed: walltime {used} exceeded limit {int(job.walltime)}\n")


def no_action(cluster: Cluster, job: Job) -> None:
    """PBS writes nothing for the user when a job has ended or is forgotten."""


forgotten = ended = no_action

# -- qsub -------------------------------------------------------------------------------------------------------------


def qsub(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return pbs_status.version()
    given, rest = client.options(arguments, VALUED, FLAGS)
    if rest and rest[0] == "--":
        argv, name = rest[1:], Path(rest[1]).name
    else:
        if len(rest) > 1:
            client.refuse(f"more than one script: {' '.join(rest)}")
        text = Path(rest[0]).read_text(encoding="utf-8") if rest and rest[0] != "-" else sys.stdin.read()
        name = Path(rest[0]).name[:230] if rest and rest[0] != "-" else "STDIN"
        embedded, more = client.options(_directives(text), VALUED, FLAGS)
        if more:
            client.refuse(f"#PBS {' '.join(more)}: not an option")
        given = embedded + given  # the command line comes last, so it takes precedence
        shell = dict(given).get("S")
        argv = client.interpreter(client.spool(None, text.lstrip("\n")), shell)
    options = {key: value for key, value in given if value is not None}
    job_name = options.get("N", name)
    if "N" in options and not re.fullmatch(r"[\w+][\w.+-]{0,229}", job_name, re.ASCII):
        client.refuse("illegal -N value")
    cluster = client.request("cluster")
    lines, request = _resources([value for key, value in given if key == "l" and value], cluster)
    attributes = dict(part.split("=", 1) for part in options.get("W", "").split(",") if "=" in part)
    flags = {key for key, value in given if value is None}
    answer = client.submit(
        name=job_name,
        queue=options.get("q"),
        account=options.get("A") or options.get("P"),
        argv=argv,
        cwd=str(Path.cwd()),
        rerunnable=options.get("r", "y") == "y",
        env=_environment(options, flags),
        umask=int(attributes.get("umask", "077"), 8),
        stdout=_without_host(options.get("o")),
        stderr=_without_host(options.get("e")),
        lines={**lines, "join": options.get("j", "n"), "workdir": str(Path.cwd()), "direct": "--" in rest[:1]},
        **request,
    )
    if "refused" in answer:
        message, code = REFUSALS[answer["refused"]]
        print(message.format(account=options.get("A"), **answer), file=sys.stderr)
        return code
    if "z" not in flags:
        print(f"{answer['number']}.{cluster['host']}", flush=True)
    return _wait(answer["number"]) if attributes.get("block") == "true" else 0


def _directives(text: str) -> list[str]:
    """Return the arguments in the ``#PBS`` lines before the first command of a script."""
    arguments: list[str] = []
    for line in text.splitlines():
        if line.startswith("#PBS"):
            arguments += shlex.split(line[4:])
        elif line.strip() and not line.lstrip().startswith(("#", ":")):
            break
    return arguments


def _resources(values: list[str], cluster: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parse the values of ``-l``. Return the resources that qstat displays, and the request for the engine."""
    resources: dict[str, str] = {}
    for part in (part for text in values for part in text.split(",")):
        name, sign, value = part.partition("=")
        if name not in OWN and name not in cluster["resources"]:
            client.refuse(f"Unknown resource: {name}")
        if not sign or not value:
            client.refuse("illegal -l value")
        resources[name] = value
    for name in cluster["required"]:
        if name not in resources:
            client.refuse(f"Resource: {name} is required to be set.")
    chunk = resources.get("select") or resources.get("nodes") or "1"
    if "+" in chunk:
        client.refuse(f"select={chunk}: this emulator knows one kind of chunk in a job")
    count, *properties = chunk.split(":")
    options = {}
    for text in properties:
        name, _, value = text.partition("=")
        if name not in CHUNK and name not in cluster["resources"]:
            client.refuse(f"Unknown resource: {name}")
        options[name] = value
    try:
        cores = int(options.get("ncpus") or options.get("ppn") or resources.get("ncpus") or 1)
        nodes, walltime = int(count), client.seconds(resources.get("walltime", "01:00:00"))
        mpiprocs = int(options.get("mpiprocs") or options.get("ppn") or 1)
    except ValueError:
        client.refuse("illegal -l value")
    place = resources.get("place", "")
    lines = {"resources": {**resources, "walltime": client.clock(walltime)}, "mpiprocs": mpiprocs}
    return lines, {"nodes": nodes, "cores": cores, "walltime": walltime, "exclusive": "excl" in place}


def _environment(options: dict[str, str], flags: set[str]) -> dict[str, str]:
    own = dict(os.environ)
    kept = own if "V" in flags else {"HOME": own.get("HOME", "/"), "PATH": own.get("PATH", os.defpath)}
    for part in _commas(options.get("v", "")):
        name, sign, value = part.partition("=")
        if sign or name in own:
            kept[name] = value if sign else own[name]
    login = {name: own.get(name, "") for name in ("HOME", "PATH", "SHELL", "LANG")}
    kept.update({f"PBS_O_{name}": value for name, value in login.items()})
    kept.update(PBS_O_WORKDIR=str(Path.cwd()), PBS_O_LOGNAME=client.user(), USER=client.user(), LOGNAME=client.user())
    return kept


def _commas(text: str) -> list[str]:
    """Split a text at the commas outside quotes."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
    return list(lexer)


def _without_host(path: str | None) -> str | None:
    return path.partition(":")[2] if path and re.match(r"[\w.-]+:/", path) else path


def _wait(number: int) -> int:
    while True:
        jobs = client.request("jobs", numbers=[number])
        if not jobs:
            return 3
        if jobs[0]["state"] == "done":
            return pbs_status.exit_status(jobs[0]) & 0xFF or (1 if jobs[0]["ended_by"] else 0)
        time.sleep(0.1)


def qdel(arguments: list[str]) -> int:
    _, names = client.options(arguments, ("W",), ("x",))
    if not names:
        client.refuse("no job ids")
    host = client.request("cluster")["host"]
    known = {str(job["number"]): job for job in client.request("jobs")}
    selected, code = pbs_status.select(names, known, host, False, "qdel")
    client.request("cancel", numbers=[job["number"] for job in selected])
    return code


def _with_connection_error(name: str, command: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Wrap a command so that it prints the error message of PBS while the server is down."""

    def run(arguments: list[str]) -> int:
        try:
            return command(arguments)
        except client.DownError:
            message = f"Connection refused\n{name}: cannot connect to server (errno={errno.ECONNREFUSED})"
            print(message, file=sys.stderr)
            return errno.ECONNREFUSED

    return run


_COMMANDS = {
    "qsub": qsub,
    "qstat": pbs_status.qstat,
    "qdel": qdel,
    "qselect": pbs_status.qselect,
    "pbsnodes": pbs_status.pbsnodes,
}
COMMANDS = {name: _with_connection_error(name, command) for name, command in _COMMANDS.items()}
