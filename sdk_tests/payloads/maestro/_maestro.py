"""What the Maestro payloads share: a study written down, run to its end by the conductor, and what is known of it then.

By hand: ``maestro run -fg -y -s 1 --out FOLDER study.yaml``. Steps are run right here where the kind is ``local``.
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

WORK = Path(__file__).resolve().parent / "_work.py"
STARTED = time.monotonic()


def step(name, *arguments, depends=(), into):
    """Return a step that runs the program beside this file and keeps what it prints."""
    words = " ".join(map(str, (sys.executable, WORK, *arguments)))
    size = {"nodes": 1, "procs": 1, "walltime": "00:05:00", "depends": list(depends)}
    return {"name": name, "description": name, "run": {"cmd": f"{words} > {into}", **size}}


def batch(scheduler):
    """Return the section that says where steps run, in Maestro's words."""
    bank = scheduler.get("account") or ""
    if scheduler["kind"] == "lsf":  # which calls a group of users what Maestro calls a bank, and takes no empty one
        bank = bank or grp.getgrgid(os.getgid()).gr_name
    told = {"type": scheduler["kind"], "host": "here", "bank": bank}
    told["queue"] = scheduler.get("queue") or ""
    if scheduler.get("reservation"):
        told["reservation"] = scheduler["reservation"]
    return told


def run(request, steps, parameters):
    """Run a study of these steps, those with parameters once for each value; return what became of it.

    Raises:
        TimeoutError: it has not ended in the time the payload has; its jobs are cancelled then.
    """
    signal.signal(signal.SIGTERM, leave)
    os.environ.setdefault("USER", getpass.getuser())  # Maestro asks Slurm and LSF for the jobs of $USER
    if request["scheduler"]["kind"] == "flux":
        flux_bindings()
    study = {
        "description": {"name": "study", "description": "A study that proves itself."},
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
        code = child.wait(left(request))
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
    """Return what Maestro has noted of each step in its table: state, job id, and what the step wrote as JSON."""
    with (out / "status.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    steps = {}
    for row in rows:
        wrote = [json.loads(path.read_text()) for path in workspace(out, row).glob("*.json") if path.stat().st_size]
        steps[row["Step Name"]] = {"state": row["State"], "job_id": row["Job ID"], "wrote": wrote}
    return steps


def workspace(out, row):
    """Return the folder of a step."""
    return out / row["Workspace"]


def flux_bindings():
    """Let Maestro find Flux's own bindings, which lie under its prefix."""
    found = subprocess.run(["flux", "env", "printenv", "PYTHONPATH"], capture_output=True, text=True, check=True)
    parts = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), *found.stdout.strip().split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in parts if part)


def left(request):
    """Return the seconds this payload still has."""
    limit = request.get("limit") or request.get("walltime") or 120
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())


def leave(*_):
    """Leave on SIGTERM as on an exception, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("ended by SIGTERM")
