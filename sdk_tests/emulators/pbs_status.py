"""The commands of PBS that report jobs, queues and nodes: qstat, qselect and pbsnodes, as in their manual pages."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from typing import Any

from sdk_tests.emulators import client

VERSION = "23.06.06 (emulated by the ExaWorks SDK)"
ENDINGS = {"walltime": -29, "node": -20}
"""The exit codes JOB_EXEC_KILL_WALLTIME and JOB_EXEC_RERUN_MS_FAIL."""
UNKNOWN, FINISHED, NO_QUEUE = 153, 35, 170
_ID = re.compile(r"(\d+)(\[\d*\])?(?:\..+)?")


def job_id(job: dict[str, Any], host: str) -> str:
    """Return the id of a job, of an array, or of one of its subjobs."""
    lines = job["lines"]
    if "array" not in lines:
        return f"{job['number']}.{host}"
    return f"{lines['array']}[{'' if 'subjobs' in lines else lines['index']}].{host}"


def _arrays(jobs: list[dict[str, Any]], *, subjobs: bool) -> list[dict[str, Any]]:
    """Return the jobs as qstat lists them: an array as one job, followed by its subjobs with ``-t``."""
    listed: list[dict[str, Any]] = []
    for job in jobs:
        array = job["lines"].get("array")
        if array is None:
            listed.append(job)
        elif job["number"] == array:
            elements = [one for one in jobs if one["lines"].get("array") == array]
            parent = {**job, "lines": {**job["lines"], "subjobs": elements}, "hosts": [], "pid": None}
            over = all(one["state"] == "done" for one in elements)
            if over:
                parent |= {"state": "done", "exit_code": int(any(one["exit_code"] != 0 for one in elements))}
            listed.append(parent)
            listed += [{**one, "lines": {**one["lines"], "over": over}} for one in elements] if subjobs else []
    return listed


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
    lines = job["lines"]
    if "subjobs" in lines and job["state"] != "done":
        waiting = next((one for one in lines["subjobs"] if one["state"] in ("queued", "held")), job)
        return "B" if any(one["started"] for one in lines["subjobs"]) else _waiting_state(waiting)
    if "over" in lines and job["state"] in ("held", "done"):
        return "Q" if job["state"] == "held" else "F" if lines["over"] else "X"
    if job["state"] == "held":
        return _waiting_state(job)
    return {"queued": "Q", "running": "E" if job["ending"] else "R", "lost": "R", "done": "F"}[job["state"]]


def _waiting_state(job: dict[str, Any]) -> str:
    return (
        "H"
        if job["state"] == "held" and job["reason"] not in ("requeued", "time")
        else ("W" if job["reason"] == "time" else "Q")
    )


def _holds(job: dict[str, Any]) -> str:
    """Return the letters of a job's holds: of its user, and of the system for a dependency."""
    if job["state"] != "held" or job["reason"] in ("requeued", "time"):
        return "n"
    waits = job["depend"] and job["reason"] == "dependency"
    return ("u" if job["user_hold"] else "") + ("s" if waits or job["reason"] == "system" else "") or "n"


def _substate(job: dict[str, Any]) -> int:
    """Return the code of pbs_job_attributes(7B): 91 terminated, 92 finished, 93 failed."""
    if job["state"] != "done":
        return {"queued": 10, "held": 30 if job["reason"] == "time" else 22 if job["depend"] else 20}.get(
            job["state"], 42
        )
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
        count = f"*{job['cores']}" if job["cores"] > 1 else ""
        shown["exec_host"] = "+".join(f"{name}/0{count}" for name in job["hosts"])
        shown["exec_vnode"] = _vnodes(job)
    more = dict(job["lines"].get("shown", {}))
    shown["Checkpoint"], shown["Hold_Types"] = more.pop("Checkpoint", "u"), _holds(job)
    shown.update({name: more.pop(name) for name in ("Join_Path", "Keep_Files", "Mail_Points") if name in more})
    shown.update(Error_Path=f"{host}:{job['stderr']}", Output_Path=f"{host}:{job['stdout']}")
    shown.update(mtime=_time(job["ended"] or job["started"] or job["queued"]), qtime=_time(job["queued"]))
    shown["Priority"] = more.pop("Priority", 0)
    shown["Rerunable"] = str(job["rerunnable"])
    shown["Resource_List"] = job["lines"]["resources"]
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
    return {**shown, **more}


USAGE = "\nusage: qstat [option]... [job_identifier | destination]..."
ALTERNATIVE = frozenset("anisrHTGM1")
"""Flags of qstat that choose the wider table; so does ``-u``."""


def qstat(arguments: list[str]) -> int:
    given, names = client.letters(arguments, "FuD", "fxQHwBaJtnsirTGM1pEq", USAGE)
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    form = options.get("F")
    if form not in (None, "json", "dsv"):
        client.refuse_plainly(USAGE.strip())
    if form is not None and ("u" in options or not flags & set("fQB")):
        client.refuse(f"conflicting options.{USAGE}")
    host = client.request("cluster")["host"]
    if "Q" in flags or "q" in flags:
        return _queues(names, form == "json", "f" in flags)
    if "B" in flags:
        print(f"{'Server':<17}{'Max':>5} {'Tot':>5} {'Que':>5} {'Run':>5} Status\n{'-' * 16} {'-' * 5} {'-' * 5}")
        print(f"{host:<17}{0:>5} {len(client.request('jobs')):>5} {0:>5} {0:>5} Active")
        return 0
    history = bool({"x", "H"} & flags)
    jobs = client.request("jobs")
    code, selected = 0, [job for job in jobs if history or job["state"] != "done" or "array" in job["lines"]]
    if names:
        selected, code = _named(names, jobs, host, history)
    elif "u" in options:
        selected = [job for job in selected if job["user"] in options["u"].split(",")]
    rows = _arrays(selected, subjobs="t" in flags or any(re.match(r"\d+\[\d+\]", name) for name in names))
    rows = [row for row in rows if history or row["state"] != "done" or "over" in row["lines"]]
    if form == "json":
        document = {"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "pbs_server": host}
        attributes = {job_id(job, host): _attributes(job, host) for job in rows}
        print(json.dumps({**document, **({"Jobs": attributes} if attributes else {})}, indent=4))
    elif "f" in flags:
        for job in rows:
            pairs = _attributes(job, host)
            if form == "dsv":
                print("|".join([f"Job Id: {job_id(job, host)}", *(f"{name}={value}" for name, value in pairs.items())]))
            else:
                print(f"Job Id: {job_id(job, host)}")
                _print(pairs)
    elif rows:
        _table(rows, host, wide=bool(flags & ALTERNATIVE) or "u" in options)
    return code


def _table(rows: list[dict[str, Any]], host: str, *, wide: bool) -> None:
    if wide:
        print(f"\n{host}:\n{'':>56}Req'd  Req'd   Elap")
        print("Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time")
        print("--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----")
        for job in rows:
            walltime = job["lines"]["resources"]["walltime"][:5]
            print(
                f"{job_id(job, host):<15} {job['user'][:8]:<8} {job['queue'][:8]:<8} {job['name'][:10]:<10} "
                f"{job['pid'] or '--':>6} {job['nodes']:>3} {job['nodes'] * job['cores']:>3}    -- {walltime:>5} "
                f"{_state(job)}   -- "
            )
        return
    print(f"{'Job id':<17} {'Name':<16} {'User':<17} {'Time Use':<8} S Queue")
    print(f"{'-' * 16}  {'-' * 16} {'-' * 16}  {'-' * 8} - {'-' * 5}")
    for job in rows:
        row = (job["name"][:16], job["user"][:16], "0")
        print(f"{job_id(job, host):<17} {row[0]:<16} {row[1]:<17} {row[2]:<8} {_state(job)} {job['queue']}")


def select_all(names: list[str], jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the jobs and subjobs that these ids name."""
    selected = []
    for name in names:
        match = _ID.fullmatch(name)
        for job in jobs if match else ():
            assert match is not None
            lines = job["lines"]
            if "array" not in lines:
                named = match[2] is None and str(job["number"]) == match[1]
            else:
                named = str(lines["array"]) == match[1] and match[2] in ("[]", f"[{lines['index']}]")
            selected += [job] if named else []
    return selected


def _named(names: list[str], jobs: list[dict[str, Any]], host: str, history: bool) -> tuple[list[dict[str, Any]], int]:
    """Return the jobs that qstat's arguments name, ids or queues, and the exit code."""
    selected: list[dict[str, Any]] = []
    code = 0
    queues = [queue["name"] for queue in client.request("cluster")["queues"]]
    for name in names:
        if not name[:1].isdecimal():
            if name not in queues:
                print(f"qstat: Unknown queue destination {name}", file=sys.stderr)
                code = NO_QUEUE
            selected += [job for job in jobs if job["queue"] == name and (history or job["state"] != "done")]
            continue
        found, wrong = _by_id(name, jobs, host, history, "qstat")
        selected += found
        code = wrong or code
    return selected, code


def select(names: list[str], history: bool, command: str) -> tuple[list[int], int]:
    """Return the numbers of the jobs with these ids, and an exit code; print an error for each other id."""
    jobs, host = client.request("jobs"), client.request("cluster")["host"]
    selected: list[int] = []
    code = 0
    for name in names:
        found, wrong = _by_id(name, jobs, host, history, command)
        selected += [job["number"] for job in found]
        code = wrong or code
    return selected, code


def _by_id(
    name: str, jobs: list[dict[str, Any]], host: str, history: bool, command: str
) -> tuple[list[dict[str, Any]], int]:
    match = _ID.fullmatch(name)
    if match is None:
        print(f"{command}: illegally formed job identifier: {name}", file=sys.stderr)
        return [], 1
    found = select_all([name], jobs)
    shown = f"{match[1]}{match[2] or ''}.{host}"
    if not found:
        print(f"{command}: Unknown Job Id {shown}", file=sys.stderr)
        return [], UNKNOWN
    if not history and all(job["state"] == "done" for job in found):
        hint = "Job has finished, use -x or -H to obtain historical job information"
        finished = {"qstat": f"{shown} {hint}", "qdel": f"Job has finished {shown}"}
        print(f"{command}: {finished.get(command, 'Job has finished')}", file=sys.stderr)
        return [], FINISHED
    return found, 0


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
    print(f"{'-' * 16} {'-' * 5} {'-' * 5} --- --- {'-' * 5} {'-' * 5} {'-' * 5} ----")
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
    given, rest = client.letters(arguments, "uNqsaAlpPrc", "xHJtTh", "\nusage: qselect [option]...")
    if rest:
        client.refuse_plainly("usage: qselect [option]...")
    options, flags = dict(given), {name for name, value in given if value is None}
    cluster = client.request("cluster")
    if options.get("q") and options["q"] not in [queue["name"] for queue in cluster["queues"]]:
        client.refuse("Unknown queue destination", NO_QUEUE)
    for job in _arrays(client.request("jobs"), subjobs="t" in flags):
        wanted = (
            ("u" not in options or job["user"] in options["u"].split(","))
            and ("N" not in options or job["name"] == options["N"])
            and ("q" not in options or job["queue"] == options["q"])
            and ("A" not in options or job["account"] == options["A"])
            and ("s" not in options or _state(job) in options["s"])
            and (job["state"] != "done" or bool(flags & {"x", "H"}))
            and (job["state"] == "done" or "H" not in flags)
        )
        if wanted:
            print(job_id(job, cluster["host"]))
    return 0


def pbsnodes(arguments: list[str]) -> int:
    usage = "usage: pbsnodes [option]... [node]..."
    given, names = client.letters(arguments, "FD", "avlSjLH", f"\n{usage}")
    flags = {name for name, value in given if value is None}
    if not names and not flags & {"a", "l"}:
        client.refuse_plainly(usage)
    code, nodes = 0, client.request("cluster")["nodes"]
    for name in names:
        if name not in [node["name"] for node in nodes]:
            print(f"Node: {name}, Error: Unknown node", file=sys.stderr)
            code = 1
    nodes = [node for node in nodes if not names or node["name"] in names]
    states = {node["name"]: "down" if not node["up"] else "free" if node["free"] else "job-busy" for node in nodes}
    if "l" in flags:
        for name in [name for name, state in states.items() if state == "down"]:
            print(f"{name:<20} down")
        return code
    if dict(given).get("F") == "json":
        shown = {
            node["name"]: {
                "Mom": node["name"], "ntype": "PBS", "state": states[node["name"]], "pcpus": node["cores"],
                "resources_available": {"host": node["name"], "ncpus": node["cores"], "ngpus": node["gpus"]},
            } for node in nodes
        }  # fmt: skip
        print(json.dumps({"timestamp": int(time.time()), "pbs_version": VERSION.split()[0], "nodes": shown}, indent=4))
        return code
    if "S" in flags:
        print(f"{'vnode':<15} {'state':<15} OS       hardware host\n{'-' * 15} {'-' * 15} -------- -------- ----------")
        for node in nodes:
            print(f"{node['name']:<15} {states[node['name']]:<15} --       --       {node['name']}")
        return code
    for node in nodes:
        print(f"{node['name']}\n     Mom = {node['name']}\n     ntype = PBS\n     state = {states[node['name']]}")
        print(f"     pcpus = {node['cores']}\n     resources_available.host = {node['name']}")
        print(f"     resources_available.ncpus = {node['cores']}\n     resources_available.ngpus = {node['gpus']}\n")
    return code


def version() -> int:
    print(f"pbs_version = {VERSION}")
    return 0
