"""The PBS dialect: qsub, qstat, qdel, qhold, qrls, qselect and pbsnodes of PBS Professional 2022.1 and OpenPBS 23.06.

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

from sdk_tests.emulators import client, pbs_requests, pbs_status
from sdk_tests.emulators.cluster import Cluster, Job

REFUSED = 2
VALUED, FLAGS = "AaCceJjklMmNopPqRrSuvW", "fhIVXz"
DELETES_HOPELESS = True
"""Whether a job is deleted as soon as its dependency can never be met."""
SPOOLS = True
"""Whether the output of a job is delivered when it has ended."""
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
        "PBS_JOBID": pbs_status.job_id(job.as_dict(), cluster.host),
        "PBS_JOBNAME": job.name,
        "PBS_QUEUE": job.queue,
        "PBS_NODEFILE": str(nodefile),
        "PBS_NODENUM": "0",
        "PBS_TASKNUM": "1",
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "NCPUS": str(job.cores),
        **_array_variables(cluster, job),
    }


def _array_variables(cluster: Cluster, job: Job) -> dict[str, str]:
    if "array" not in job.lines:
        return {}
    return {"PBS_ARRAY_INDEX": str(job.lines["index"]), "PBS_ARRAY_ID": f"{job.lines['array']}[].{cluster.host}"}


def signals(by: str) -> tuple[int, ...]:
    return (signal.SIGTERM,)


def accepted(cluster: Cluster, job: Job) -> None:
    """Set the output files of a job. Without ``-o`` or ``-e``, or with a folder, the names follow qsub(1B)."""
    for name, letter in (("stdout", "o"), ("stderr", "e")):
        number = job.lines.get("array", job.number)
        suffix = f".{job.lines['index']}" if "array" in job.lines else ""
        path = Path(job.cwd, getattr(job, name) or f"{job.name}.{letter}{number}{suffix}")
        own = f"{pbs_status.job_id(job.as_dict(), cluster.host)}.{'OU' if letter == 'o' else 'ER'}"
        path = path / own if path.is_dir() else path
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
    given, rest = client.letters(arguments, VALUED, FLAGS, pbs_requests.USAGE)
    cluster = client.request("cluster")
    if rest and rest[0] == "--":
        if len(rest) < 2:
            client.refuse_plainly(pbs_requests.USAGE.strip())
        argv, name = rest[1:], Path(rest[1]).name
    else:
        if len(rest) > 1:
            client.refuse_plainly(pbs_requests.USAGE.strip())
        text, name = _script(rest)
        prefix = dict(given).get("C") or os.environ.get("PBS_DPREFIX") or "#PBS"
        given = _directives(text, prefix) + given  # the command line comes last, so it takes precedence
        argv = client.interpreter(client.spool(None, text.lstrip("\n")), dict(given).get("S"))
    pbs_requests.check(given)
    options = {key: value for key, value in given if value is not None}
    if "N" not in options:
        pbs_requests.check_name(name)
    flags = {key for key, value in given if value is None}
    attributes = pbs_requests.attributes(options.get("W", ""))
    depend = pbs_requests.dependency(attributes.get("depend", ""), _numbers)
    lines, request = pbs_requests.resources([value for key, value in given if key == "l" and value], cluster)
    indices = pbs_requests.indices(options.get("J"))
    lines |= {
        "join": options.get("j", "n"),
        "workdir": str(Path.cwd()),
        "direct": "--" in rest[:1],
        "shown": _shown(options, attributes, cluster["host"]),
    }
    answer = client.submit(
        name=options.get("N", name),
        queue=(options.get("q") or "").partition("@")[0] or None,
        account=options.get("A"),
        argv=argv,
        cwd=str(Path.cwd()),
        rerunnable=options.get("r", "y") == "y",
        env=_environment(options, flags),
        umask=int(attributes["umask"], 8) & 0o777 if re.fullmatch("[0-7]+", attributes.get("umask", "")) else 0o077,
        stdout=_without_host(options.get("o")),
        stderr=_without_host(options.get("e")),
        user_hold="h" in flags,
        depend=depend,
        not_before=pbs_requests.instant(options.get("a")),
        indices=indices,
        lines=lines,
        **request,
    )
    if "refused" in answer:
        message, code = REFUSALS[answer["refused"]]
        print(message.format(account=options.get("A"), **answer), file=sys.stderr)
        return code
    number = answer["number"]
    if "z" not in flags:
        print(f"{number}{'[]' if indices else ''}.{cluster['host']}", flush=True)
    return _wait(number) if attributes.get("block") == "true" else 0


def _script(rest: list[str]) -> tuple[str, str]:
    """Return the text of the script and the name of a job that has no other."""
    if not rest or rest[0] == "-":
        return sys.stdin.read(), "STDIN"
    path = Path(rest[0])
    if not path.exists():
        client.refuse("script file:: No such file or directory", 1)
    if not path.is_file():
        client.refuse("script not a file", 1)
    return path.read_text(encoding="utf-8", errors="surrogateescape"), path.name


def _directives(text: str, prefix: str) -> list[tuple[str, str | None]]:
    """Return the options in the directives before the first command of a script."""
    given: list[tuple[str, str | None]] = []
    for line in text.splitlines():
        if line.startswith(prefix):
            try:
                words = shlex.split(line[len(prefix) :])
            except ValueError:
                client.refuse("unmatched", 1)
            try:
                options, more = client.letters(words, VALUED, FLAGS)
            except client.RefusedError as refused:
                client.refuse(f"{refused}\nqsub: directive error: {' '.join(words)}", 1)
            if more:
                client.refuse(f"directive error: {' '.join(_options_first(words))}", 1)
            given += options
        elif line.strip() and not line.lstrip().startswith(("#", ":")):
            break
    return given


def _options_first(words: list[str]) -> list[str]:
    """Return the words in the order in which getopt(3) leaves them: options, then the words before them."""
    first = next((number for number, word in enumerate(words) if word.startswith("-")), 0)
    return words[first:] + words[:first]


def _shown(options: dict[str, str], attributes: dict[str, str], host: str) -> dict[str, Any]:
    """Return the attributes of a job that only qstat -f shows."""
    shown: dict[str, Any] = {
        "Checkpoint": options.get("c", "u"),
        "Join_Path": options.get("j", "n"),
        "Keep_Files": options.get("k", "n"),
        "Mail_Points": options.get("m", "a"),
        "Priority": int(options.get("p", "0")),
        "project": options.get("P", "_pbs_project_default"),
    }
    given = {"Mail_Users": options.get("M"), "Shell_Path_List": options.get("S")}
    given["umask"] = attributes["umask"].lstrip("0") if "umask" in attributes else None
    given["array_indices_submitted"] = options.get("J", "").partition("%")[0] or None
    if "depend" in attributes:
        parts = [
            re.sub(r":(\d+(?:\[\d*\])?)(?:\.[\w.-]+)?", rf":\1.{host}@{host}", part)
            for part in attributes["depend"].split(",")
        ]
        given["depend"] = ",".join(parts)
    return shown | {name: value for name, value in given.items() if value}


def _numbers(job: str) -> list[int]:
    """Return the numbers of the jobs that an id names; that of an unknown job if there is none."""
    known = pbs_status.select_all([job], client.request("jobs"))
    return [each["number"] for each in known] or [int(re.match(r"\d+", job)[0])]  # type: ignore[index]


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
        jobs = pbs_status.select_all([str(number), f"{number}[]"], client.request("jobs"))
        if not jobs:
            return 3
        if all(job["state"] == "done" for job in jobs):
            return max(pbs_status.exit_status(job) & 0xFF or (1 if job["ended_by"] else 0) for job in jobs)
        time.sleep(0.1)


def qdel(arguments: list[str]) -> int:
    given, names = client.letters(arguments, "W", "x", "\nusage: qdel [option]... job_identifier...")
    if not names:
        client.refuse_plainly("usage: qdel [option]... job_identifier...")
    history = ("x", None) in given
    selected, code = pbs_status.select(names, history, "qdel")
    client.request("cancel", numbers=selected)
    if history:
        client.request("forget", numbers=selected)
    return code


def qhold(arguments: list[str]) -> int:
    return _set_hold("qhold", arguments, True)


def qrls(arguments: list[str]) -> int:
    return _set_hold("qrls", arguments, False)


def _set_hold(command: str, arguments: list[str], on: bool) -> int:
    given, names = client.letters(arguments, "h", "", f"\nusage: {command} [-h hold_list] job_identifier...")
    if not names:
        client.refuse_plainly(f"usage: {command} [-h hold_list] job_identifier...")
    if not set(dict(given).get("h") or "u") <= set("uonps"):
        client.refuse("illegal -h value")
    selected, code = pbs_status.select(names, False, command)
    jobs = {job["number"]: job for job in client.request("jobs", numbers=selected)}
    client.request("hold_jobs", numbers=[one for one in selected if jobs[one]["state"] in ("queued", "held")], on=on)
    return code


def _with_connection_error(name: str, command: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Wrap a command so that it prints the error message of PBS while the server is down."""

    def run(arguments: list[str]) -> int:
        try:
            return pbs_status.version() if arguments == ["--version"] else command(arguments)
        except client.DownError:
            message = f"Connection refused\n{name}: cannot connect to server (errno={errno.ECONNREFUSED})"
            print(message, file=sys.stderr)
            return errno.ECONNREFUSED

    return run


_COMMANDS = {
    "qsub": qsub,
    "qstat": pbs_status.qstat,
    "qdel": qdel,
    "qhold": qhold,
    "qrls": qrls,
    "qselect": pbs_status.qselect,
    "pbsnodes": pbs_status.pbsnodes,
}
COMMANDS = {name: _with_connection_error(name, command) for name, command in _COMMANDS.items()}
