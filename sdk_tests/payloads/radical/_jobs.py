"""The batch jobs of a pilot, by the scheduler's own commands: those that start below one folder, and their end."""

import json
import os
import pwd
import subprocess

LIMIT = 20.0
"""Seconds a native command may take."""


def below(folder, kind):
    """Return id, state and first node of the jobs that start below a folder.

    The state is QUEUED, RUNNING or ENDED, whatever the scheduler calls it.

    Raises:
        subprocess.SubprocessError, OSError, ValueError: the scheduler does not answer, or not as it should.
    """
    rows = KINDS[kind][0]()
    return [
        {"id": number, "state": state, "nodes": nodes}
        for number, state, nodes, place in rows
        if place == folder or place.startswith(folder + "/")
    ]


def cancel(kind, numbers):
    """Cancel jobs; one that has ended meanwhile does no harm."""
    subprocess.run([*KINDS[kind][1], *numbers], capture_output=True, timeout=LIMIT, check=False)


def squeue():
    states = dict.fromkeys(("PENDING", "CONFIGURING", "REQUEUED"), "QUEUED")
    states |= dict.fromkeys(("RUNNING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "SIGNALING"), "RUNNING")
    text = said(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%N|%Z"])
    for number, state, nodes, place in (line.split("|", 3) for line in text.splitlines()):
        yield number, states.get(state, "ENDED"), nodes, place.strip()


def qstat():
    states = dict.fromkeys("QHTW", "QUEUED") | dict.fromkeys("REBSU", "RUNNING")
    told = {}
    for number in said(["qselect", "-u", pwd.getpwuid(os.getuid()).pw_name]).split():
        # one by one: asked for several, the qstat of OpenPBS 23.06 tells of the first alone
        told |= json.loads(said(["qstat", "-x", "-f", "-F", "json", number])).get("Jobs", {})
    for number, job in told.items():
        nodes = ",".join(dict.fromkeys(part.partition("/")[0] for part in job.get("exec_host", "").split("+")))
        place = job.get("Variable_List", {}).get("PBS_O_WORKDIR", "")
        yield number, states.get(job["job_state"], "ENDED"), nodes, place


def said(argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=True).stdout


KINDS = {"slurm": (squeue, ["scancel"]), "pbs": (qstat, ["qdel"])}
"""For each kind of scheduler: its listing, and the command that cancels jobs."""
