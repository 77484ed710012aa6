"""The batch jobs of a pilot: lists those that start below one folder, and cancels them, with the native commands."""

import json
import os
import pwd
import subprocess

LIMIT = 20.0
"""Seconds a native command may take."""


def below(folder, kind):
    """Return id, state and first node of the jobs that start below a folder.

    The state is QUEUED, RUNNING or ENDED for every scheduler.

    Raises:
        subprocess.SubprocessError, OSError, ValueError: the scheduler does not answer, or its answer is not valid.
    """
    rows = KINDS[kind][0]()
    return [
        {"id": number, "state": state, "nodes": nodes}
        for number, state, nodes, directory in rows
        if directory == folder or directory.startswith(folder + "/")
    ]


def cancel(kind, numbers):
    """Cancel jobs; jobs that have ended in the meantime are ignored."""
    subprocess.run([*KINDS[kind][1], *numbers], capture_output=True, timeout=LIMIT, check=False)


def squeue():
    states = dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED"), "QUEUED")
    states |= dict.fromkeys(("RUNNING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "SIGNALING"), "RUNNING")
    text = output_of(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%N|%Z"])
    for number, state, nodes, directory in (line.split("|", 3) for line in text.splitlines()):
        yield number, states.get(state, "ENDED"), nodes, directory.strip()


def qstat():
    states = dict.fromkeys("QHTW", "QUEUED") | dict.fromkeys("REBSU", "RUNNING")
    jobs = {}
    for number in output_of(["qselect", "-u", pwd.getpwuid(os.getuid()).pw_name]).split():
        # one query for each job: of several jobs, the qstat of OpenPBS 23.06 reports only the first
        jobs |= json.loads(output_of(["qstat", "-x", "-f", "-F", "json", number])).get("Jobs", {})
    for number, job in jobs.items():
        nodes = ",".join(dict.fromkeys(part.partition("/")[0] for part in job.get("exec_host", "").split("+")))
        directory = job.get("Variable_List", {}).get("PBS_O_WORKDIR", "")
        yield number, states.get(job["job_state"], "ENDED"), nodes, directory


def output_of(argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=True).stdout


KINDS = {"slurm": (squeue, ["scancel"]), "pbs": (qstat, ["qdel"])}
"""For each kind of scheduler: the function that lists jobs, and the command that cancels them."""
