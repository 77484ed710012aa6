"""What the Swift/T payloads that submit share: what a job is told, and what its scheduler says of it."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from _swift import fork, left, pmi

CANCEL = {"slurm": "scancel", "pbs": "qdel"}
PREFIX = {"slurm": "#SBATCH", "pbs": "#PBS"}


def job_environment(request, procs, folder):
    """Return the variables that Swift/T makes a job of (its Sites Guide, "Variables"): one node, with these ranks.

    Not a login shell: what is tested is the deployment, active here and exported to the job, and no file of the user's.
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


def launched(kind, procs):
    """Return how the job's script is to start the ranks."""
    if kind == "slurm":
        return {"TURBINE_LAUNCHER": "srun", **pmi()}
    return {"TURBINE_LAUNCH_OPTIONS": f"-n {procs}"}


def seen(kind, job):
    """Return what the scheduler says of a job: whether it has ended, its state, exit code and node."""
    if kind == "slurm":
        text = output(["scontrol", "show", "job", job])
        fields = dict(re.findall(r"(\w+)=(\S*)", text))
        state, node = fields["JobState"], fields.get("NodeList")
        code, ended = int(fields["ExitCode"].partition(":")[0]), state not in ("PENDING", "RUNNING", "COMPLETING")
    else:
        (fields,) = json.loads(output(["qstat", "-x", "-f", "-F", "json", job]))["Jobs"].values()
        state, code = fields["job_state"], fields.get("Exit_status")
        node, ended = fields.get("exec_host", "").partition("/")[0], state == "F"
    return {"ended": ended, "state": state, "exit_code": code, "node": node}


def output(argv):
    """Return what a command of the scheduler prints."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30).stdout


def followed(request, job):
    """Wait until a job has ended and return what is said of it then; one that has not is cancelled on leaving.

    Raises:
        TimeoutError: it has not ended in the time the payload has.
    """
    kind, pause, now = request["scheduler"]["kind"], request["scheduler"].get("poll") or 5, {}
    seconds = left(request)
    end = time.monotonic() + seconds
    try:
        while not now.get("ended"):
            if time.monotonic() > end:
                raise TimeoutError(f"job {job} has not ended after {seconds:.0f} s: {now}")
            time.sleep(pause)
            now = seen(kind, job)
    finally:
        if not now.get("ended"):
            subprocess.run([CANCEL[kind], job], check=False)
    return now


def wrote(folder):
    """Return what the programs of a run left in its folder, by name."""
    found = sorted(Path(folder).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in found if path.stat().st_size}
