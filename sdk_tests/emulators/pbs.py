"""PBS's dialect: qsub, qstat, qdel, qselect and pbsnodes, as PBS Professional 2022.1 and OpenPBS 23.06.

After their manual pages (qsub(1B), qstat(1B), qdel(1B), qselect(1B), pbsnodes(8B), pbs_job_attributes(7B)) and the
Reference Guide's tables of job states and job exit codes. ``filesystems`` is ALCF's own resource, which its hook asks
of every job; a cluster's configuration says which resources there are beside PBS's own.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdk_tests.emulators import client
from sdk_tests.emulators.cluster import Cluster, Job

VERSION = "23.06.06 (emulated by the ExaWorks SDK)"
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
ENDINGS = {"walltime": -29, "node": -4}
"""JOB_EXEC_KILL_WALLTIME, JOB_EXEC_INITABT."""
UNKNOWN, FINISHED = 153, 35

# -- what the engine asks ---------------------------------------------------------------------------------------------


def variables(cluster: Cluster, job: Job) -> dict[str, str]:
    """Return what MOM sets for a job, and write its node file: a line for each MPI process."""
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
    """Name the files a job leaves, as qsub(1B) does where nothing or only a folder is given for them."""
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


def nothing(cluster: Cluster, job: Job) -> None:
    """PBS tells the user of no other moment."""


forgotten = ended = nothing

# -- qsub -------------------------------------------------------------------------------------------------------------


def qsub(words: list[str]) -> int:
    if words == ["--version"]:
        return _version()
    given, rest = client.options(words, VALUED, FLAGS)
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
        given = embedded + given  # the command line comes last and wins
        shell = dict(given).get("S")
        argv = client.interpreter(client.spool(None, text.lstrip("\n")), shell)
    options = {key: value for key, value in given if value is not None}
    job_name = options.get("N", name)
    if "N" in options and not re.fullmatch(r"[\w+][\w.+-]{0,229}", job_name, re.ASCII):
        client.refuse("illegal -N value")
    cluster = client.ask("cluster")
    asked, wanted = _resources([value for key, value in given if key == "l" and value], cluster)
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
        stdout=_host_off(options.get("o")),
        stderr=_host_off(options.get("e")),
        lines={**asked, "join": options.get("j", "n"), "workdir": str(Path.cwd())},
        **wanted,
    )
    if "refused" in answer:
        message, code = REFUSALS[answer["refused"]]
        print(message.format(account=options.get("A"), **answer), file=sys.stderr)
        return code
    if "z" not in flags:
        print(f"{answer['number']}.{cluster['host']}", flush=True)
    return _wait(answer["number"]) if attributes.get("block") == "true" else 0


def _directives(text: str) -> list[str]:
    """Return the words of ``#PBS`` lines up to the first line that does something."""
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("#PBS"):
            words += shlex.split(line[4:])
        elif line.strip() and not line.lstrip().startswith(("#", ":")):
            break
    return words


def _resources(asked: list[str], cluster: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read ``-l``: return what qstat shows of it, and what the engine has to know."""
    found: dict[str, str] = {}
    for part in (part for value in asked for part in value.split(",")):
        name, sign, value = part.partition("=")
        if name not in OWN and name not in cluster["resources"]:
            client.refuse(f"Unknown resource: {name}")
        if not sign or not value:
            client.refuse("illegal -l value")
        found[name] = value
    for name in cluster["required"]:
        if name not in found:
            client.refuse(f"Resource: {name} is required to be set.")
    chunk = found.get("select") or found.get("nodes") or "1"
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
        cores = int(options.get("ncpus") or options.get("ppn") or found.get("ncpus") or 1)
        nodes, walltime = int(count), client.seconds(found.get("walltime", "01:00:00"))
        mpiprocs = int(options.get("mpiprocs") or options.get("ppn") or 1)
    except ValueError:
        client.refuse("illegal -l value")
    place = found.get("place", "")
    shown = {"resources": {**found, "walltime": client.clock(walltime)}, "mpiprocs": mpiprocs}
    return shown, {"nodes": nodes, "cores": cores, "walltime": walltime, "exclusive": "excl" in place}


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
    """Split at commas outside quotes."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
    return list(lexer)


def _host_off(path: str | None) -> str | None:
    return path.partition(":")[2] if path and re.match(r"[\w.-]+:/", path) else path


def _wait(number: int) -> int:
    while True:
        jobs = client.ask("jobs", numbers=[number])
        if not jobs:
            return 3
        if jobs[0]["state"] == "done":
            return _exit_status(jobs[0]) & 0xFF or (1 if jobs[0]["ended_by"] else 0)
        time.sleep(0.1)


# -- qstat ------------------------------------------------------------------------------------------------------------


def _exit_status(job: dict[str, Any]) -> int:
    if job["ended_by"] in ENDINGS:
        return ENDINGS[job["ended_by"]]
    if job["exit_code"] is not None:
        return int(job["exit_code"])
    return 256 + int(job["signal"] or signal.SIGTERM)


def _state(job: dict[str, Any]) -> str:
    if job["state"] == "held":
        return "Q" if job["reason"] == "requeued" else "H"
    return {"queued": "Q", "running": "E" if job["ending"] else "R", "lost": "R", "done": "F"}[job["state"]]


def _substate(job: dict[str, Any]) -> int:
    """Return the code of pbs_job_attributes(7B): 91 terminated, 92 finished, 93 failed."""
    if job["state"] != "done":
        return {"queued": 10, "held": 20}.get(job["state"], 42)
    if job["ended_by"] == "user":
        return 91
    return 92 if job["exit_code"] == 0 and not job["ended_by"] else 93


def _comment(job: dict[str, Any]) -> str:
    if job["started"]:
        when = time.strftime("%a %b %d at %H:%M", time.localtime(job["started"]))
        text = f"Job run at {when} on ({_vnodes(job)})"
        if job["ended_by"] == "walltime":
            return f"{text} and exceeded resource walltime"
        if job["ended_by"] == "user":
            return f"{text} and terminated"
        if job["ended_by"] == "node":
            return f"{text} and failed: node lost"
        return text + (" and finished" if job["state"] == "done" and job["exit_code"] == 0 else "")
    waits = {
        "resources": "Not Running: Not enough free nodes available",
        "user-limit": "Not Running: User has reached queue running job limit.",
        "system": "Job held by operator",
        "requeued": "Not Running: Job was requeued (preempted)",
    }
    return waits.get(job["reason"], "")


def _vnodes(job: dict[str, Any]) -> str:
    return "+".join(f"({host}:ncpus={job['cores']})" for host in job["hosts"])


def _time(instant: float) -> str:
    return time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(instant))


def _attributes(job: dict[str, Any], host: str) -> dict[str, Any]:
    """Return a job's attributes in qstat's order; nested ones are of the kind that is written with a dot in text."""
    now = time.time()
    shown: dict[str, Any] = {"Job_Name": job["name"], "Job_Owner": f"{job['user']}@{host}"}
    if job["started"]:
        used = (job["ended"] or now) - job["started"]
        shown["resources_used"] = {"cput": "00:00:00", "ncpus": job["cores"], "walltime": client.clock(used)}
    shown.update(
        job_state=_state(job), substate=_substate(job), queue=job["queue"], server=host, ctime=_time(job["submitted"])
    )
    if job["hosts"]:
        shown["exec_host"] = "+".join(f"{name}/0*{job['cores']}" for name in job["hosts"])
        shown["exec_vnode"] = _vnodes(job)
    shown["Hold_Types"] = "s" if _state(job) == "H" else "n"
    shown.update(Error_Path=f"{host}:{job['stderr']}", Output_Path=f"{host}:{job['stdout']}")
    shown.update(mtime=_time(job["ended"] or job["started"] or job["queued"]), qtime=_time(job["queued"]))
    shown["Rerunable"] = str(job["rerunnable"])
    shown["Resource_List"] = {"nodect": job["nodes"], **job["lines"]["resources"]}
    if job["started"]:
        shown["stime"] = _time(job["started"])
    if job["pid"]:
        shown["session_id"] = job["pid"]
    shown["Variable_List"] = {"PBS_O_WORKDIR": job["lines"]["workdir"]}
    if _comment(job):
        shown["comment"] = _comment(job)
    shown["run_count"] = job["runs"]
    if job["account"]:
        shown["Account_Name"] = job["account"]
    if job["state"] == "done":
        shown["Exit_status"] = _exit_status(job)
    shown["project"] = "_pbs_project_default"
    return shown


def qstat(words: list[str]) -> int:
    if words == ["--version"]:
        return _version()
    given, names = client.options(words, ("F", "u"), ("f", "x", "Q", "H", "w", "B", "a"))
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    if "u" in options and "f" in flags:
        client.refuse("conflicting options.")
    if options.get("F", "json") != "json":
        client.refuse(f"-F {options['F']}: only json is known to this emulator")
    host = client.ask("cluster")["host"]
    if "Q" in flags:
        return _queues(names, "F" in options, "f" in flags)
    jobs = client.ask("jobs")
    history = bool({"x", "H"} & flags)
    if "u" in options:
        jobs = [job for job in jobs if job["user"] in options["u"].split(",")]
    code, chosen = 0, [job for job in jobs if history or job["state"] != "done"]
    if names:
        chosen, code = _named(names, {f"{job['number']}": job for job in jobs}, host, history, "qstat")
    if "F" in options:
        document = {"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "pbs_server": host}
        told = {f"{job['number']}.{host}": _attributes(job, host) for job in chosen}
        print(json.dumps({**document, **({"Jobs": told} if told else {})}, indent=4))
    elif "f" in flags:
        for job in chosen:
            print(f"Job Id: {job['number']}.{host}")
            _print(_attributes(job, host))
    elif chosen:
        print(f"{'Job id':<17} {'Name':<16} {'User':<17} {'Time Use':<8} S Queue")
        print(f"{'-' * 16}  {'-' * 16} {'-' * 16}  {'-' * 8} - {'-' * 5}")
        for job in chosen:
            name = f"{job['number']}.{host}"
            print(f"{name:<17} {job['name'][:16]:<16} {job['user'][:16]:<17} {'0':<8} {_state(job)} {job['queue']}")
    return code


def _named(
    names: list[str], known: dict[str, dict[str, Any]], host: str, history: bool, who: str
) -> tuple[list[dict[str, Any]], int]:
    chosen, code = [], 0
    for name in names:
        job = known.get(name.partition(".")[0])
        if job is None:
            print(f"{who}: Unknown Job Id {name.partition('.')[0]}.{host}", file=sys.stderr)
            code = UNKNOWN
        elif job["state"] == "done" and not history:
            hint = ", use -x or -H to obtain historical job information" if who == "qstat" else ""
            print(f"{who}: {job['number']}.{host} Job has finished{hint}", file=sys.stderr)
            code = FINISHED
        else:
            chosen.append(job)
    return chosen, code


def _print(attributes: dict[str, Any]) -> None:
    """Print attributes as text: four spaces, long lines folded at the 80th column with a tab."""
    for name, value in attributes.items():
        pairs = {name: value}
        if name == "Variable_List":
            pairs = {name: ",".join(f"{key}={text}" for key, text in value.items())}
        elif isinstance(value, dict):
            pairs = {f"{name}.{key}": text for key, text in value.items()}
        for key, text in pairs.items():
            line = f"    {key} = {text}"
            print(line[:79])
            for start in range(79, len(line), 71):
                print(f"\t{line[start : start + 71]}")
    print()


def _queues(names: list[str], as_json: bool, full: bool) -> int:
    queues = [queue for queue in client.ask("cluster")["queues"] if not names or queue["name"] in names]
    if names and not queues:
        print(f"qstat: Unknown queue {names[0]}", file=sys.stderr)
        return 170
    told = {queue["name"]: _queue(queue) for queue in queues}
    if as_json:
        print(json.dumps({"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "Queue": told}, indent=4))
        return 0
    if full:
        for name, attributes in told.items():
            print(f"Queue: {name}")
            _print(attributes)
        return 0
    print(f"{'Queue':<17}{'Max':>5} {'Tot':>5} Ena Str {'Que':>5} {'Run':>5} {'Hld':>5} Type")
    for queue in queues:
        total, waiting, running = queue["waiting"] + queue["running"], queue["waiting"], queue["running"]
        print(f"{queue['name']:<17}{0:>5} {total:>5} yes yes {waiting:>5} {running:>5} {0:>5} Exec")
    return 0


def _queue(queue: dict[str, Any]) -> dict[str, Any]:
    most, least = {"nodect": queue["max_nodes"]}, {"nodect": queue["min_nodes"]}
    most["walltime"] = client.clock(queue["max_walltime"]) if queue["max_walltime"] else None
    least["walltime"] = client.clock(queue["min_walltime"]) if queue["min_walltime"] else None
    shown: dict[str, Any] = {"queue_type": "Execution", "total_jobs": queue["waiting"] + queue["running"]}
    shown["resources_max"] = {name: value for name, value in most.items() if value}
    shown["resources_min"] = {name: value for name, value in least.items() if value}
    for name, limit in (("max_run", queue["max_running"]), ("max_queued", queue["max_queued"])):
        if limit:
            shown[name] = f"[u:PBS_GENERIC={limit}]"
    return {name: value for name, value in shown.items() if value != {}} | {"enabled": "True", "started": "True"}


# -- the rest ---------------------------------------------------------------------------------------------------------


def qdel(words: list[str]) -> int:
    _, names = client.options(words, ("W",), ("x",))
    if not names:
        client.refuse("no job ids")
    host = client.ask("cluster")["host"]
    known = {str(job["number"]): job for job in client.ask("jobs")}
    chosen, code = _named(names, known, host, False, "qdel")
    client.ask("cancel", numbers=[job["number"] for job in chosen])
    return code


def qselect(words: list[str]) -> int:
    given, rest = client.options(words, ("u",), ("x",))
    if rest:
        client.refuse(f"{rest[0]}: not an option")
    host, users = client.ask("cluster")["host"], dict(given).get("u", "").split(",")
    for job in client.ask("jobs"):
        if (job["user"] in users or users == [""]) and (job["state"] != "done" or ("x", None) in given):
            print(f"{job['number']}.{host}")
    return 0


def pbsnodes(words: list[str]) -> int:
    if words == ["--version"]:
        return _version()
    client.options(words, (), ("a", "v"))
    for node in client.ask("cluster")["nodes"]:
        state = "down" if not node["up"] else "free" if node["free"] else "job-busy"
        print(f"{node['name']}\n     Mom = {node['name']}\n     ntype = PBS\n     state = {state}")
        print(f"     pcpus = {node['cores']}\n     resources_available.host = {node['name']}")
        print(f"     resources_available.ncpus = {node['cores']}\n     resources_available.ngpus = {node['gpus']}\n")
    return 0


def _version() -> int:
    print(f"pbs_version = {VERSION}")
    return 0


def _answered(name: str, command: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Say what a command of PBS says where its server does not listen."""

    def tried(words: list[str]) -> int:
        try:
            return command(words)
        except client.DownError:
            said = f"Connection refused\n{name}: cannot connect to server (errno={errno.ECONNREFUSED})"
            print(said, file=sys.stderr)
            return errno.ECONNREFUSED

    return tried


_COMMANDS = {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qselect": qselect, "pbsnodes": pbsnodes}
COMMANDS = {name: _answered(name, command) for name, command in _COMMANDS.items()}
