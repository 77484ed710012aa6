"""The LSF dialect: bsub, bjobs, bkill, bstop, bresume, bqueues, bhosts and lsid of Spectrum LSF 10.1.

Scripts are parsed as with LSB_BSUB_PARSE_SCRIPT=Y. It follows
https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-command: bsub with the options -nnodes and -alloc_flags
of the machines at LLNL and ORNL, bjobs -o and -json, the termination reasons. While mbatchd is down, a command retries
for ever, or LSB_NTRIES times.

As in the real one, the file of -o appears some time after the end of the job, and has the job report before the output
of the program. What is refused, and with which words, follows OpenLava 2.2.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sdk_tests.emulators import client, lsf_requests, lsf_status
from sdk_tests.emulators.cluster import Cluster, Job

VALUED = (
    *("J", "cwd", "env", "nnodes", "n", "gpu", "M", "W", "q", "G", "P", "U", "e", "eo", "o", "oo", "i", "R", "u", "L"),
    *("w", "b", "alloc_flags", "core_isolation", "jsm", "csm", "ln_mem", "ln_slots", "stage", "step_cgroup"),
)
IGNORED = ("a", "app", "c", "C", "D", "F", "g", "Jd", "m", "S", "sp", "T", "v")
"""Options with a value that change nothing for the jobs of an emulator, such as resource limits and labels."""
DELETES_HOPELESS = False
"""Whether a job is deleted as soon as its dependency can never be met."""
SPOOLS = False
"""Whether the output of a job is delivered when it has ended."""
REPORT_DELAY = 0.5
"""Seconds after the end of a job until its report is in the file of ``-o``; ``bsub -K`` does not wait for it."""
USAGE = "\nusage: bsub [option]... command [argument]..."
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
        "LSB_JOBNAME": job.lines.get("label") or lsf_status.name(job.as_dict()),
        "LSB_JOBINDEX": str(job.lines.get("index", 0)),
        "LSB_QUEUE": job.queue,
        "LSB_HOSTS": " ".join(slots),
        "LSB_MCPU_HOSTS": "".join(f"{host} {job.cores} " for host in job.hosts),
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
            setattr(job, name, str(Path(job.cwd, path.replace("%J", str(number)).replace("%I", str(index)))))
    job.stdin = str(Path(job.cwd, job.stdin)) if job.stdin else None
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
        f"Your job looked like:\n\n{'-' * 60}\n# LSBATCH: User input\n{job.lines['command']}\n{'-' * 60}\n\n"
        + ("Successfully completed.\n\n" if done else f"{_how_it_ended(job, code)}.\n\n")
        + "Resource usage summary:\n\n    CPU time :               0.10 sec.\n\n"
        "The output (if any) follows:\n\n"
    )
    with contextlib.suppress(OSError), Path(target).open("wb" if job.lines.get("overwrite") else "ab") as file:
        file.write(report.encode(errors="surrogateescape"))
        if job.started is not None and job.stdout is not None:
            file.write(Path(job.stdout).read_bytes())
        if "e" in job.lines.get("files", {}):
            file.write(f"\n\nPS:\n\nRead file <{job.lines['files']['e']}> for stderr output of this job.\n\n".encode())


def _how_it_ended(job: Job, code: int) -> str:
    if job.ended_by == "user" and job.signal is not None:
        return f"Exited with signal termination: {signal.strsignal(job.signal)}"
    return f"Exited with exit code {code}"


# -- bsub -------------------------------------------------------------------------------------------------------------


def bsub(arguments: list[str]) -> int:
    """Submit a job, and with ``-K`` wait for its end."""
    given, rest = _options(arguments)
    cluster = lsf_status.cluster()
    if rest and (len(rest) > 1 or not _is_script(rest[0])):
        # LSF joins the arguments and runs the result in a shell; several keep their quotes, as in OpenLava 2.2
        command = rest[0] if len(rest) == 1 else shlex.join(rest)
        argv = ["/bin/sh", "-c", command]
        if not argv[-1].strip():
            client.refuse_plainly("Empty job. Job not submitted.")
    else:
        text = Path(rest[0]).read_text(encoding="utf-8") if rest else sys.stdin.read()
        if not text:
            client.refuse_plainly("No command is specified. Job not submitted.")
        lines = [line for line in text.splitlines() if line.startswith("#BSUB")]
        directives = [word for line in lines for word in shlex.split(line[5:], comments=True)]
        embedded, more = _options(directives)
        if more:
            client.refuse_plainly(f"#BSUB {' '.join(more)}: not an option")
        if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            client.refuse_plainly("No command is specified in the script file. Job not submitted.")
        given = embedded + given  # the command line comes last, so it takes precedence
        argv = client.interpreter(client.spool(None, text.lstrip("\n")))
        command = rest[0] if rest else ";".join(text.splitlines())
    flags = {name for name, value in given if value is None}
    options = {name: value for name, value in given if value is not None}
    if "x" in flags and not cluster["exclusive"]:
        queue = options.get("q") or cluster["default_queue"]
        client.refuse_plainly(f"{queue}: Queue does not accept EXCLUSIVE jobs. Job not submitted.")
    hosts = [node["name"] for node in cluster["nodes"]]
    lsf_requests.check_requirement(options.get("R", ""))
    lsf_requests.check_limits(options, hosts)
    label, indices = lsf_requests.array(options.get("J") or "")
    nodes, cores = lsf_requests.size(options, max(node["cores"] for node in cluster["nodes"]))
    begin = lsf_requests.instant(options.get("b"))
    answer = client.submit(
        name=label or command,
        queue=_queue(options.get("q"), cluster),
        account=options.get("P"),
        argv=argv,
        cwd=options.get("cwd") or str(Path.cwd()),
        nodes=nodes,
        cores=cores,
        exclusive="x" in flags or "nnodes" in options,
        walltime=lsf_requests.minutes(options.get("W"), hosts) * 60,
        rerunnable="r" in flags,
        user_hold="H" in flags,
        depend=lsf_requests.dependency(options.get("w"), _numbers),
        not_before=begin,
        env=lsf_requests.environment([value for name, value in given if name == "env" and value is not None]),
        lines={
            **({"overwrite": True} if "oo" in options else {}),
            "files": {letter: options[letter] for letter in ("o", "e") if letter in options},
            "command": command,
            "label": options.get("J", ""),
        },
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
    if begin:
        print(
            f"Job will be scheduled after {time.strftime('%a %b %e %H:%M:%S %Y', time.localtime(begin))}",
            file=sys.stderr,
        )
    return _wait(number) if "K" in flags else 0


def _options(arguments: list[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Parse the options of bsub; the messages are those of OpenLava."""
    try:
        given, rest = client.options(arguments, (*VALUED, *IGNORED), FLAGS)
    except client.RefusedError as refused:
        word = str(refused).removeprefix("option ").partition(" ")[0].lstrip("-")
        if "needs a value" in str(refused):
            client.refuse(f"option requires an argument -- {word}{USAGE}")
        client.refuse(f"illegal option -- {word}{USAGE}")
    return given, rest


def _queue(text: str | None, cluster: dict[str, Any]) -> str | None:
    """Return the first queue of a list that exists; the first one if none does."""
    names = (text or "").split()
    known = [queue["name"] for queue in cluster["queues"]]
    return next((name for name in names if name in known), names[0] if names else None)


def _numbers(name: str) -> list[int]:
    """Return the numbers of the jobs with an id, or of the last ones with a name."""
    jobs = client.request("jobs")
    if name[:1].isdecimal():
        return [job["number"] for job in lsf_status.matching(jobs, name)]
    return [job["number"] for job in jobs if job["name"] == name][-1:]


def _is_script(word: str) -> bool:
    path = Path(word)
    return path.is_file() and path.read_bytes()[:4] != b"\x7fELF"


def _wait(number: int) -> int:
    print("<<Waiting for dispatch ...>>", file=sys.stderr, flush=True)
    while True:
        jobs = lsf_status.matching(client.request("jobs"), str(number))
        if not jobs:
            return 255
        if all(job["state"] == "done" for job in jobs):
            print("<<Job is finished>>", file=sys.stderr)
            return max(map(lsf_status.code, jobs))
        time.sleep(0.1)


def bkill(arguments: list[str]) -> int:
    given, ids = lsf_status.parse_options("bkill", arguments, ("C", "s", "J", "q", "u", "m"), ("rb",))
    options = {name: value for name, value in given if value is not None}
    number = _signal(options.get("s"))
    if not ids and not options.keys() & {"J", "q", "u", "m"}:
        client.refuse_plainly(
            "Job ID or one of '-m', '-u' '-q' and '-J' must be specified.\nusage: bkill [option]... [job_ID]..."
        )
    jobs = client.request("jobs")
    if ids in ([], ["0"]):
        live = [job for job in jobs if job["state"] != "done" and options.get("q") in (None, job["queue"])]
        if "J" in options:
            live = [job for job in live if job["name"] == options["J"]]
            if not live:
                client.refuse_plainly(f"Job <{options['J']}> is not found")
        ids = list(dict.fromkeys(str(job["lines"].get("array", job["number"])) for job in live))
        if not ids:
            client.refuse_plainly("No unfinished job found")
    failed = False
    for word in ids:
        numbers = [job["number"] for job in lsf_status.matching(jobs, word)]
        states = {job["number"]: job["state"] for job in jobs}
        live = [one for one in numbers if states[one] != "done"]
        if live and number is not None:
            client.request("signal", numbers=live, number=number)
            print(f"Job <{word}> is being signaled")
        elif live:
            client.request("cancel", numbers=live)
            print(f"Job <{word}> is being terminated")
        else:
            failed = True
            message = "Job has already finished" if numbers else "No matching job found"
            print(f"Job <{word}>: {message}", file=sys.stderr)
    return 255 if failed else 0


def _signal(text: str | None) -> int | None:
    """Return the signal of ``bkill -s``; None for one that ends the job."""
    if text in (None, "KILL", "TERM", "INT", "9", "15", "2"):
        return None
    assert text is not None
    number = int(text) if text.isdecimal() else getattr(signal, f"SIG{text.removeprefix('SIG')}", None)
    if number is None or number not in signal.valid_signals():
        client.refuse_plainly(f"{text}: Illegal signal value")
    return int(number)


def bstop(arguments: list[str]) -> int:
    return _set_hold(arguments, True, "is being stopped")


def bresume(arguments: list[str]) -> int:
    return _set_hold(arguments, False, "is being resumed")


def _set_hold(arguments: list[str], on: bool, words: str) -> int:
    _, ids = client.options(arguments, (), ())
    if not ids:
        client.refuse_plainly("Job ID or one of '-m', '-u' '-q' and '-J' must be specified.")
    jobs, failed = client.request("jobs"), False
    for word in ids:
        found = lsf_status.matching(jobs, word)
        live = [job["number"] for job in found if job["state"] != "done"]
        client.request("hold_jobs", numbers=live, on=on)
        failed = failed or not live
        message = "Job has already finished" if found else "No matching job found"
        print(f"Job <{word}> {words}" if live else f"Job <{word}>: {message}", file=sys.stdout if live else sys.stderr)
    return 255 if failed else 0


_COMMANDS = {
    "bsub": bsub,
    "bjobs": lsf_status.bjobs,
    "bkill": bkill,
    "bstop": bstop,
    "bresume": bresume,
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
