"""Shared by the Swift/T payloads that submit jobs: the variables of a job, and its state at the scheduler."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from _swift import fork, pmi, seconds_left

CANCEL = {"slurm": "scancel", "pbs": "qdel"}
PREFIX = {"slurm": "#SBATCH", "pbs": "#PBS"}


def job_environment(request, procs, folder):
    """Return the variables of a Swift/T job with these ranks on one node; see "Variables" in its Sites Guide.

    The job uses no login shell: the deployment under test is active here and exported to the job, and the user's
    start-up files must not change it.
    """
    scheduler = request["scheduler"]
    kind = scheduler["kind"]
    given = {
        **os.environ,
        **fork(scheduler, "job"),
        "TURBINE_OUTPUT": str(folder),
        "TURBINE_OUTPUT_SOFTLINK": "/dev/null",
        "TURBINE_BASH_L": "0",
        "WALLTIME": "00:05:00",
        "PPN": str(procs),
        "QUEUE": scheduler.get("queue") or "",
        "PROJECT": scheduler.get("account") or "",
    }
    if scheduler.get("directives"):
        given["TURBINE_DIRECTIVE"] = "\n".join(f"{PREFIX[kind]} {line}" for line in scheduler["directives"])
    return given


def job_launcher(kind, procs):
    """Return the variables with which the job's script starts the ranks."""
    if kind == "slurm":
        return {"TURBINE_LAUNCHER": "srun", **pmi()}
    return {"TURBINE_LAUNCH_OPTIONS": f"-n {procs}"}


def job_status(kind, job):
    """Return the scheduler's status of a job: whether it has ended, its state, exit code and node."""
    if kind == "slurm":
        text = output_of(["scontrol", "show", "job", job])
        fields = dict(re.findall(r"(\w+)=(\S*)", text))
        state, node = fields["JobState"], fields.get("NodeList")
        code, ended = int(fields["ExitCode"].partition(":")[0]), state not in ("PENDING", "RUNNING", "COMPLETING")
    else:
        (fields,) = json.loads(output_of(["qstat", "-x", "-f", "-F", "json", job]))["Jobs"].values()
        state, code = fields["job_state"], fields.get("Exit_status")
        node, ended = fields.get("exec_host", "").partition("/")[0], state == "F"
    return {"ended": ended, "state": state, "exit_code": code, "node": node}


def output_of(argv):
    """Return the output of a command of the scheduler."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30).stdout


def wait_for_job(request, job):
    """Wait until a job has ended and return its status; if it does not end, cancel it.

    Raises:
        TimeoutError: the job has not ended within the payload's time limit.
    """
    kind, pause, status = request["scheduler"]["kind"], request["scheduler"].get("poll") or 5, {}
    seconds = seconds_left(request)
    end = time.monotonic() + seconds
    try:
        while not status.get("ended"):
            if time.monotonic() > end:
                raise TimeoutError(f"job {job} has not ended after {seconds:.0f} s: {status}")
            time.sleep(pause)
            status = job_status(kind, job)
    finally:
        if not status.get("ended"):
            subprocess.run([CANCEL[kind], job], check=False)
    return status


def results_in(folder):
    """Return the JSON results of a run's programs by the names of their files in its folder."""
    paths = sorted(Path(folder).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths if path.stat().st_size}
