"""Shared by the Maestro payloads: write a study, run it to its end with the conductor, and read its status.

By hand: ``maestro run -fg -y -s 1 --out FOLDER study.yaml``. With the kind ``local``, steps run on this machine.
"""

import csv
import getpass
import grp
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from _bindings import bindings_for_children

WORK = Path(__file__).resolve().parent / "_work.py"
STARTED = time.monotonic()


def step(name, *arguments, depends=(), into):
    """Return a step that runs ``_work.py`` and writes its output to the file ``into``."""
    command = " ".join(map(str, (sys.executable, WORK, *arguments)))
    size = {"nodes": 1, "procs": 1, "walltime": "00:05:00", "depends": list(depends)}
    return {"name": name, "description": name, "run": {"cmd": f"{command} > {into}", **size}}


def batch(scheduler):
    """Return the section of a study that defines where Maestro runs steps."""
    bank = scheduler.get("account") or ""
    if scheduler["kind"] == "lsf":  # Maestro's bank is LSF's user group, which must not be empty
        bank = bank or grp.getgrgid(os.getgid()).gr_name
    section = {"type": scheduler["kind"], "host": "here", "bank": bank}
    section["queue"] = scheduler.get("queue") or ""
    if scheduler.get("reservation"):
        section["reservation"] = scheduler["reservation"]
    return section


def run(request, steps, parameters):
    """Run a study of these steps, those with parameters once for each value; return its exit code and its steps.

    Raises:
        TimeoutError: the study has not ended within the payload's time limit; its jobs are cancelled.
    """
    os.environ.setdefault("USER", getpass.getuser())  # Maestro asks Slurm and LSF for the jobs of $USER
    if request["scheduler"]["kind"] == "flux":
        bindings_for_children()
    study = {
        "description": {"name": "study", "description": "A study whose results can be checked."},
        "batch": batch(request["scheduler"]),
        "study": steps,
        "global.parameters": {name: {"values": values, "label": f"{name}.%%"} for name, values in parameters.items()},
    }
    Path("study.yaml").write_text(json.dumps(study, indent=1), encoding="utf-8")  # JSON is YAML
    out = Path("out").absolute()
    argv = ["maestro", "run", "-fg", "-y", "-s", "1", "--out", str(out), "study.yaml"]
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    done = False
    try:
        code = child.wait(seconds_left(request))
        done = True
    except subprocess.TimeoutExpired:
        raise TimeoutError("the study has not ended") from None
    finally:
        if not done:
            subprocess.run(["maestro", "cancel", "-y", str(out)], timeout=30, check=False)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return {"exit_code": code, "steps": status(out)}


def status(out):
    """Return state, job id and JSON results of each step, from Maestro's status table and the steps' folders."""
    with (out / "status.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    steps = {}
    for row in rows:
        files = (out / row["Workspace"]).glob("*.json")
        results = [json.loads(path.read_text()) for path in files if path.stat().st_size]
        steps[row["Step Name"]] = {"state": row["State"], "job_id": row["Job ID"], "results": results}
    return steps


def seconds_left(request):
    """Return the seconds until this payload's time limit."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())
