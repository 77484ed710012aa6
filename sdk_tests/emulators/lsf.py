"""The LSF dialect: bsub, bjobs, bkill, bqueues, bhosts and lsid of Spectrum LSF 10.1 with LSB_BSUB_PARSE_SCRIPT=Y.

It follows https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command: bsub with the options -nnodes and
-alloc_flags of the machines at LLNL and ORNL, bjobs -o and -json, the termination reasons. While mbatchd is down, a
command retries for ever, or LSB_NTRIES times.

As in the real one, the file of -o appears some time after the end of the job, and has the job report before the output
of the program. Exclusive jobs, resource requirements, empty scripts and arrays are refused as by OpenLava 2.2.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
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
IGNORED = ("a", "app", "c", "C", "D", "F", "g", "Jd", "m", "S", "sp", "T", "v")
"""Options with a value that change nothing for the jobs of an emulator, such as resource limits and labels."""
LOGIN: tuple[str, ...] = ("PATH", "HOME", "USER")
"""The variables of a job that is submitted with ``-env none``."""
REPORT_DELAY = 0.5
"""Seconds after the end of a job until its report is in the file of ``-o``; ``bsub -K`` does not wait for it."""
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
        "LSB_JOBID": str(job.lines.get("array", job.number)),
        "LSB_JOBNAME": lsf_status.name(job.as_dict()),
        "LSB_JOBINDEX": str(job.lines.get("index", 0)),
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
            number, index = job.lines.get("array", job.number), job.lines.get("index", 0)
            setattr(job, name, path.replace("%J", str(number)).replace("%I", str(index)))
    if job.stdout and job.stdout != os.devnull:
        job.lines["report"] = str(Path(job.cwd, job.stdout))
        job.stdout = str(Path("spool", f"{job.number}.out").absolute())
    job.stderr = job.stderr or job.stdout  # without -e, standard error goes to the file of standard output


def no_action(cluster: Cluster, job: Job) -> None:
    """LSF writes nothing for the user when a job ends or is forgotten."""


forgotten = ending = ended = no_action


def late_report(cluster: Cluster, job: Job) -> None:
    """Write the report of an ended job, and then what its program printed, to the file of ``-o``."""
    target = job.lines.get("report")
    if target is None:
        return
    record = job.as_dict()
    code, done = lsf_status.code(record), lsf_status.succeeded(record)
    hosts = ", ".join(f"<{job.cores}*{host}>" for host in job.hosts)
    began, now = (time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(when)) for when in (job.started, time.time()))
    report = (
        f"Sender: LSF System <lsfadmin@{cluster.host}>\n"
        f"Subject: Job {lsf_status.job_id(record)}: <{lsf_status.name(record)}> in cluster <emulated> "
        f"{'Done' if done else 'Exited'}\n\n"
        f"Job <{lsf_status.name(record)}> was submitted from host <login> by user <{job.user}> in cluster <emulated>.\n"
        f"Job was executed on host(s) {hosts}, in queue <{job.queue}>, as user <{job.user}> in cluster <emulated>.\n"
        f"<{job.cwd}> was used as the working directory.\nStarted at {began}\nResults reported at {now}\n\n"
        f"Your job looked like:\n\n{'-' * 60}\n# LSBATCH: User input\n{' '.join(job.argv)}\n{'-' * 60}\n\n"
        + ("Successfully completed.\n\n" if done else f"Exited with exit code {code}.\n\n")
        + "Resource usage summary:\n\n    CPU time :               0.10 sec.\n\n"
        "The output (if any) follows:\n\n"
    )
    with contextlib.suppress(OSError), Path(target).open("wb" if job.lines.get("overwrite") else "ab") as file:
        file.write(report.encode(errors="surrogateescape"))
        if job.started is not None and job.stdout is not None:
            file.write(Path(job.stdout).read_bytes())


# -- bsub -------------------------------------------------------------------------------------------------------------


def bsub(arguments: list[str]) -> int:
    """Submit a job, and with ``-K`` wait for its end."""
    known = (*VALUED, *IGNORED)
    given, rest = client.options(arguments, known, FLAGS)
    cluster = lsf_status.cluster()
    if rest and (len(rest) > 1 or not _is_script(rest[0])):
        argv = ["/bin/sh", "-c", " ".join(rest)]  # LSF joins the arguments and runs the result in a shell
        if not argv[-1].strip():
            client.refuse("Empty job. Job not submitted.")
    else:
        text = Path(rest[0]).read_text(encoding="utf-8") if rest else sys.stdin.read()
        lines = [line for line in text.splitlines() if line.startswith("#BSUB")]
        directives = [word for line in lines for word in shlex.split(line[5:], comments=True)]
        embedded, more = client.options(directives, known, FLAGS)
        if more:
            client.refuse(f"#BSUB {' '.join(more)}: not an option")
        if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            client.refuse("No command is specified in the script file. Job not submitted.")
        given = embedded + given  # the command line comes last, so it takes precedence
        argv = client.interpreter(client.spool(None, text.lstrip("\n")))
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    if "x" in flags and not cluster["exclusive"]:
        queue = options.get("q") or cluster["default_queue"]
        client.refuse(f"{queue}: Queue does not accept EXCLUSIVE jobs. Job not submitted.")
    _check_requirement(options.get("R", ""))
    label, indices = _array(options.get("J") or "")
    per_node = max(node["cores"] for node in cluster["nodes"])
    nodes, cores = _size(options, per_node)
    answer = client.submit(
        name=label or Path(argv[-1].split()[0] if argv[-1].split() else "job").name,
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
        lines={"overwrite": True} if "oo" in options else {},
        indices=indices,
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


_SECTION = re.compile(r"\b(select|order|rusage|span|same|cu|affinity)\[([^\[\]]*)\]")
_SPAN = re.compile(r"hosts=-?1|ptile=[1-9]\d*")
_COMPARISON = re.compile(r"!?(\w+)(?:\s*(?:==|!=|>=|<=|>|<)\s*[\w.*-]+)?")
_RESOURCES = (
    "r15s",
    "r1m",
    "r15m",
    "ut",
    "pg",
    "io",
    "ls",
    "it",
    "tmp",
    "swp",
    "mem",
    "type",
    "model",
    "status",
    "hname",
    "cpuf",
    "ncpus",
    "ndisks",
    "maxmem",
    "maxswp",
    "maxtmp",
    "rexpri",
    "server",
    "any",
    "LN",
    "CN",
)
"""The resources that a condition may name: those of every LSF, and Summit's for launch and compute nodes."""


def _check_requirement(text: str) -> None:
    """Refuse a resource requirement that has no valid syntax: sections, and conditions joined by && and ||."""
    sections = dict(_SECTION.findall(text))
    conditions = [sections.get("select", ""), _SECTION.sub("", text)]
    parts = [part.strip(" ()") for one in conditions if one.strip() for part in re.split(r"&&|\|\|", one)]
    comparisons = [_COMPARISON.fullmatch(part) for part in parts]
    if not all(match and match[1] in _RESOURCES for match in comparisons) or not _SPAN.fullmatch(
        sections.get("span", "hosts=1")
    ):
        client.refuse("Bad resource requirement syntax. Job not submitted.")


def _array(label: str) -> tuple[str, list[int] | None]:
    """Split ``name[1-5:2,9]`` into the name and the indices; without brackets there are no indices."""
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]*)\](%\d+)?", label)
    if match is None:
        return label, None
    indices: set[int] = set()
    for part in match[2].split(","):
        numbers = re.fullmatch(r"\s*(\d+)(?:-(\d+)(?::(\d+))?)?\s*", part)
        first, last, step = (
            int(number or default)
            for number, default in zip(
                numbers.groups() if numbers else (None, None, None),
                ("0", numbers[1] if numbers else "0", "1"),
                strict=True,
            )
        )
        if not 0 < first <= last or step < 1:
            client.refuse("Bad job name. Job not submitted.")
        indices.update(range(first, last + 1, step))
    return match[1], sorted(indices)


def _is_script(word: str) -> bool:
    path = Path(word)
    return path.is_file() and path.read_bytes()[:4] != b"\x7fELF"


def _size(options: dict[str, str], per_node: int) -> tuple[int, int]:
    if "nnodes" in options:
        return _count(options["nnodes"]), per_node
    slots = _count(options.get("n", "1").rpartition(",")[2])  # of a range, the emulator grants the maximum
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
        jobs = lsf_status.matching(client.request("jobs"), str(number))
        if not jobs:
            return 255
        if all(job["state"] == "done" for job in jobs):
            print("<<Job is finished>>")
            return max(map(lsf_status.code, jobs))
        time.sleep(0.1)


def bkill(arguments: list[str]) -> int:
    given, ids = client.options(arguments, ("C", "s"), ("r", "b"))
    if any(name == "s" and value not in ("KILL", "9", "TERM", "15") for name, value in given):
        client.refuse("only KILL and TERM are known to this emulator's bkill -s")
    if not ids:
        client.refuse("Job ID or 0 must be specified.")
    jobs = client.request("jobs")
    if ids == ["0"]:
        ids = [str(job["number"]) for job in jobs if job["state"] != "done" and "array" not in job["lines"]]
        ids += sorted(
            {str(job["lines"]["array"]) for job in jobs if job["state"] != "done" and "array" in job["lines"]}
        )
    failed = False
    for word in ids:
        numbers = [job["number"] for job in lsf_status.matching(jobs, word)]
        results = client.request("cancel", numbers=numbers).values()
        if "ended" in results:
            print(f"Job <{word}> is being terminated")
        else:
            failed = True
            message = "Job has already finished" if "done" in results else "No matching job found"
            print(f"Job <{word}>: {message}", file=sys.stderr)
    return 255 if failed else 0


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
