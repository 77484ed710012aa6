"""The commands of PBS that report jobs, queues and nodes: qstat, qselect and pbsnodes, as in their manual pages."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from sdk_tests.emulators import client

VERSION = "23.06.06 (emulated by the ExaWorks SDK)"
ENDINGS = {"walltime": -29, "node": -20}
"""The exit codes JOB_EXEC_KILL_WALLTIME and JOB_EXEC_RERUN_MS_FAIL."""
UNKNOWN, FINISHED = 153, 35


def exit_status(job: dict[str, Any]) -> int:
    """Return the Exit_status that PBS reports for an ended job."""
    if job["ended_by"] in ENDINGS:
        return ENDINGS[job["ended_by"]]
    if job["exit_code"] is not None:
        return int(job["exit_code"])
    # A shell reports a signal of its script as 128 + signal; PBS reports a signal of its own child as 256 + signal
    base = 256 if job["ended_by"] or job["lines"]["direct"] else 128
    return base + int(job["signal"] or signal.SIGTERM)


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
    """Return the attributes of a job in the order of qstat. The text format prints nested ones as ``name.key``."""
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
        shown["Exit_status"] = exit_status(job)
    shown["project"] = "_pbs_project_default"
    return shown


def qstat(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return version()
    given, names = client.options(arguments, ("F", "u"), ("f", "x", "Q", "H", "w", "B", "a"))
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    if "u" in options and "f" in flags:
        client.refuse("conflicting options.")
    if options.get("F", "json") != "json":
        client.refuse(f"-F {options['F']}: only json is known to this emulator")
    host = client.request("cluster")["host"]
    if "Q" in flags:
        return _queues(names, "F" in options, "f" in flags)
    jobs = client.request("jobs")
    history = bool({"x", "H"} & flags)
    if "u" in options:
        jobs = [job for job in jobs if job["user"] in options["u"].split(",")]
    code, selected = 0, [job for job in jobs if history or job["state"] != "done"]
    if names:
        selected, code = select(names, {f"{job['number']}": job for job in jobs}, host, history, "qstat")
    if "F" in options:
        document = {"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "pbs_server": host}
        attributes = {f"{job['number']}.{host}": _attributes(job, host) for job in selected}
        print(json.dumps({**document, **({"Jobs": attributes} if attributes else {})}, indent=4))
    elif "f" in flags:
        for job in selected:
            print(f"Job Id: {job['number']}.{host}")
            _print(_attributes(job, host))
    elif selected:
        print(f"{'Job id':<17} {'Name':<16} {'User':<17} {'Time Use':<8} S Queue")
        print(f"{'-' * 16}  {'-' * 16} {'-' * 16}  {'-' * 8} - {'-' * 5}")
        for job in selected:
            name = f"{job['number']}.{host}"
            print(f"{name:<17} {job['name'][:16]:<16} {job['user'][:16]:<17} {'0':<8} {_state(job)} {job['queue']}")
    return code


def select(
    names: list[str], known: dict[str, dict[str, Any]], host: str, history: bool, command: str
) -> tuple[list[dict[str, Any]], int]:
    """Return the jobs with these ids and the exit code of ``command``. Print an error for each other id."""
    selected, code = [], 0
    for name in names:
        job = known.get(name.partition(".")[0])
        if job is None:
            print(f"{command}: Unknown Job Id {name.partition('.')[0]}.{host}", file=sys.stderr)
            code = UNKNOWN
        elif job["state"] == "done" and not history:
            hint = ", use -x or -H to obtain historical job information" if command == "qstat" else ""
            print(f"{command}: {job['number']}.{host} Job has finished{hint}", file=sys.stderr)
            code = FINISHED
        else:
            selected.append(job)
    return selected, code


def _print(attributes: dict[str, Any]) -> None:
    """Print attributes as text: indented by four spaces; long lines continue after 79 characters, with a tab."""
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
    queues = [queue for queue in client.request("cluster")["queues"] if not names or queue["name"] in names]
    if names and not queues:
        print(f"qstat: Unknown queue {names[0]}", file=sys.stderr)
        return 170
    by_name = {queue["name"]: _queue(queue) for queue in queues}
    if as_json:
        document = {"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "Queue": by_name}
        print(json.dumps(document, indent=4))
        return 0
    if full:
        for name, attributes in by_name.items():
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


def qselect(arguments: list[str]) -> int:
    given, rest = client.options(arguments, ("u",), ("x",))
    if rest:
        client.refuse(f"{rest[0]}: not an option")
    host, users = client.request("cluster")["host"], dict(given).get("u", "").split(",")
    for job in client.request("jobs"):
        if (job["user"] in users or users == [""]) and (job["state"] != "done" or ("x", None) in given):
            print(f"{job['number']}.{host}")
    return 0


def pbsnodes(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        return version()
    client.options(arguments, (), ("a", "v"))
    for node in client.request("cluster")["nodes"]:
        state = "down" if not node["up"] else "free" if node["free"] else "job-busy"
        print(f"{node['name']}\n     Mom = {node['name']}\n     ntype = PBS\n     state = {state}")
        print(f"     pcpus = {node['cores']}\n     resources_available.host = {node['name']}")
        print(f"     resources_available.ncpus = {node['cores']}\n     resources_available.ngpus = {node['gpus']}\n")
    return 0


def version() -> int:
    print(f"pbs_version = {VERSION}")
    return 0
