"""The LSF dialect: bsub, bjobs, bkill, bqueues, bhosts and lsid of Spectrum LSF 10.1 with LSB_BSUB_PARSE_SCRIPT=Y.

It follows https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command: bsub with the options -nnodes and
-alloc_flags of the machines at LLNL and ORNL, bjobs -o and -json, the termination reasons. While mbatchd is down, a
command retries for ever, or LSB_NTRIES times.
"""

from __future__ import annotations

import itertools
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sdk_tests.emulators import client, lsf_status
from sdk_tests.emulators.cluster import Cluster, Job

VALUED = (
    *("J", "cwd", "env", "nnodes", "n", "gpu", "M", "W", "q", "G", "P", "U", "e", "eo", "o", "oo", "i", "R", "u", "L"),
    *("alloc_flags", "core_isolation", "jsm", "csm", "ln_mem", "ln_slots", "stage", "step_cgroup"),
)
LOGIN: tuple[str, ...] = ("PATH", "HOME", "USER")
"""The variables of a job that is submitted with ``-env none``."""
FLAGS = ("K", "x", "r", "rn", "H", "N", "B")
REFUSALS = {
    "no-queue": "{queue}: No such queue. Job not submitted.",
    "account": "ERROR: project {account!r} is not one that may be charged here. Job not submitted.",
    "nodes-over": "Too many processors requested. Job not submitted.",
    "nodes-under": "Too few processors requested. Job not submitted.",
    "too-big": "Too many processors requested. Job not submitted.",
    "walltime-over": "RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.",
    "walltime-under": "RUNLIMIT: Below the queue's minimum. Job not submitted.",
    "queued-over": "Pending job threshold reached. Job not submitted.",
    "refused": "{limit}. Job not submitted.",
}

# -- called by the engine ---------------------------------------------------------------------------------------------


def variables(cluster: Cluster, job: Job) -> dict[str, str]:
    """Return the variables that sbatchd sets for a job, and write its host file."""
    slots = [host for host in job.hosts for _ in range(job.cores)]
    hosts = Path("nodefiles", f"{job.number}").absolute()
    hosts.write_text("".join(f"{host}\n" for host in slots))
    return {
        "LSB_JOBID": str(job.number),
        "LSB_JOBNAME": job.name,
        "LSB_JOBINDEX": "0",
        "LSB_QUEUE": job.queue,
        "LSB_HOSTS": " ".join(slots),
        "LSB_MCPU_HOSTS": " ".join(f"{host} {job.cores}" for host in job.hosts),
        "LSB_DJOB_HOSTFILE": str(hosts),
        "LSB_DJOB_NUMPROC": str(len(slots)),
        "LSB_MAX_NUM_PROCESSORS": str(len(slots)),
        "LSB_SUB_HOST": cluster.host,
        "LSB_PROJECT_NAME": job.account or "default",
        "LS_SUBCWD": job.cwd,
    }


def signals(by: str) -> tuple[int, ...]:
    return (signal.SIGUSR2, signal.SIGINT, signal.SIGTERM) if by == "walltime" else (signal.SIGINT, signal.SIGTERM)


def accepted(cluster: Cluster, job: Job) -> None:
    for name in ("stdout", "stderr"):
        path = getattr(job, name)
        if path:
            setattr(job, name, path.replace("%J", str(job.number)))
    job.stderr = job.stderr or job.stdout  # without -e, standard error goes to the file of standard output


def no_action(cluster: Cluster, job: Job) -> None:
    """LSF writes nothing for the user when a job ends or is forgotten."""


forgotten = ending = ended = no_action

# -- bsub -------------------------------------------------------------------------------------------------------------


def bsub(arguments: list[str]) -> int:
    """Submit a job, and with ``-K`` wait for its end."""
    given, rest = client.options(arguments, VALUED, FLAGS)
    cluster = lsf_status.cluster()
    if rest and (len(rest) > 1 or not _is_script(rest[0])):
        argv = ["/bin/sh", "-c", " ".join(rest)]  # LSF joins the arguments and runs the result in a shell
    else:
        text = Path(rest[0]).read_text(encoding="utf-8") if rest else sys.stdin.read()
        lines = [line for line in text.splitlines() if line.startswith("#BSUB")]
        directives = [word for line in lines for word in shlex.split(line[5:], comments=True)]
        embedded, more = client.options(directives, VALUED, FLAGS)
        if more:
            client.refuse(f"#BSUB {' '.join(more)}: not an option")
        given = embedded + given  # the command line comes last, so it takes precedence
        argv = client.interpreter(client.spool(None, text.lstrip("\n")))
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    per_node = max(node["cores"] for node in cluster["nodes"])
    nodes, cores = _size(options, per_node)
    answer = client.submit(
        name=options.get("J") or Path(argv[-1].split()[0] if argv[-1].split() else "job").name,
        queue=options.get("q"),
        account=options.get("P"),
        argv=argv,
        cwd=options.get("cwd") or str(Path.cwd()),
        nodes=nodes,
        cores=cores,
        exclusive="x" in flags or "nnodes" in options,
        walltime=_minutes(options.get("W")) * 60,
        rerunnable="r" in flags,
        env=_environment([value for name, value in given if name == "env"]),
        stdin=options.get("i"),
        stdout=options.get("o") or options.get("oo"),
        stderr=options.get("e") or options.get("eo"),
    )
    if "refused" in answer:
        message = REFUSALS[answer["refused"]].format(account=options.get("P"), **answer)
        print(message, file=sys.stderr)
        return 255
    number, queue = answer["number"], answer["queue"]
    print(f"Job <{number}> is submitted to {'queue' if options.get('q') else 'default queue'} <{queue}>.", flush=True)
    return _wait(number) if "K" in flags else 0


def _is_script(word: str) -> bool:
    path = Path(word)
    return path.is_file() and path.read_bytes()[:4] != b"\x7fELF"


def _size(options: dict[str, str], per_node: int) -> tuple[int, int]:
    if "nnodes" in options:
        return _count(options["nnodes"]), per_node
    slots = _count(options.get("n", "1"))
    tile = per_node
    if "span[ptile=" in options.get("R", ""):
        tile = _count(options["R"].partition("span[ptile=")[2].partition("]")[0])
    elif "span[hosts=1]" in options.get("R", ""):
        tile = slots
    return math.ceil(slots / tile), min(slots, tile)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        client.refuse(f"{text}: Illegal job slot or host count")
    return int(text)


def _minutes(text: str | None) -> float:
    if text is None:
        return 60.0
    try:
        return client.seconds(text.partition("/")[0])  # [hours:]minutes has the form of [minutes:]seconds
    except ValueError:
        client.refuse(f"{text}: Bad RUNLIMIT specification")


def _environment(values: list[str]) -> dict[str, str]:
    """Return the environment that the values of ``-env`` select: all, none, or named variables. Values add up."""
    own: dict[str, str] = dict(os.environ)
    if not values:
        return own
    parts = [part.strip() for value in values for part in value.split(",")]
    kept: dict[str, str] = own if "all" in parts else {name: own[name] for name in LOGIN if name in own}
    for part in parts:
        name, sign, value = part.partition("=")
        if sign:
            kept[name] = value
        elif part.startswith("~"):
            kept.pop(part[1:], None)
        elif part in own and part not in ("all", "none"):
            kept[part] = own[part]
    return kept


def _wait(number: int) -> int:
    print("<<Waiting for dispatch ...>>", flush=True)
    while True:
        jobs = client.request("jobs", numbers=[number])
        if not jobs:
            return 255
        if jobs[0]["state"] == "done":
            print("<<Job is finished>>")
            return lsf_status.code(jobs[0])
        time.sleep(0.1)


def bkill(arguments: list[str]) -> int:
    given, ids = client.options(arguments, ("C", "s"), ("r", "b"))
    if any(name == "s" and value not in ("KILL", "9", "TERM", "15") for name, value in given):
        client.refuse("only KILL and TERM are known to this emulator's bkill -s")
    if not ids:
        client.refuse("Job ID or 0 must be specified.")
    numbers = [int(word) if word.isdecimal() else client.refuse(f"{word}: Illegal job ID.") for word in ids]
    if numbers == [0]:
        numbers = [job["number"] for job in client.request("jobs") if job["state"] != "done"]
    results = client.request("cancel", numbers=numbers)
    for number, result in results.items():
        if result == "ended":
            print(f"Job <{number}> is being terminated")
        else:
            print(
                f"Job <{number}>: {'No matching job found' if result == 'unknown' else 'Job has already finished'}",
                file=sys.stderr,
            )
    return 255 if any(result != "ended" for result in results.values()) else 0


_COMMANDS = {
    "bsub": bsub,
    "bjobs": lsf_status.bjobs,
    "bkill": bkill,
    "bqueues": lsf_status.bqueues,
    "bhosts": lsf_status.bhosts,
    "lsid": lsf_status.lsid,
}


def _with_retries(command: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Wrap a command so that it retries while the master is down, as LSF's library does."""

    def run(arguments: list[str]) -> int:
        if arguments == ["-V"]:
            print(lsf_status.VERSION, file=sys.stderr)
            return 0
        tries: Iterable[int] = itertools.count()
        if os.environ.get("LSB_NTRIES", "").isdecimal():
            tries = range(int(os.environ["LSB_NTRIES"]))
        for _ in tries:
            try:
                return command(arguments)
            except client.DownError:
                print("batch system daemon not responding ... still trying", file=sys.stderr, flush=True)
                time.sleep(1.0)
        print("Failed in LSF library call: Slave LIM configuration is not ready yet", file=sys.stderr)
        return 255

    return run


COMMANDS = {name: _with_retries(command) for name, command in _COMMANDS.items()}
