"""A RADICAL pilot that runs tasks of one and of two cores; each task computes a value that only it can compute."""

import json
import platform
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402


def run_tasks(request):
    count = int(request["params"].get("tasks", 16))
    rounds = int(request["params"].get("rounds", 100_000))
    with pilot(request) as active:
        # Tasks can read the scratch folder, but not necessarily the folder of this program.
        program = Path(shutil.copy(HERE / "_work.py", "work.py")).resolve()
        tasks = active.run(
            {
                "executable": sys.executable,
                "arguments": ["-I", str(program), f"argument-{number}", str(rounds)],
                "cores_per_rank": 1 + number % 2,
            }
            for number in range(count)
        )
        return {
            "host": platform.node(),
            "pilot": {
                "uid": active.handle.uid,
                "state": active.handle.state,
                "cores": active.handle.description["cores"],
                "jobs": active.guard.jobs() or [],
                "through_psij": submitted_by_psij(),
            },
            "tasks": [describe(task) for task in tasks],
        }


def submitted_by_psij():
    """Return the ids of the jobs of PSI/J, which writes the streams of each to a file with the id as its name."""
    return sorted(path.stem for path in (Path.home() / ".psij").glob("work/*/*.out"))


def describe(task):
    """Return RADICAL's values of a task, and in ``output`` the values that the task itself printed."""
    written = Path(urlsplit(str(task.sandbox)).path) / "value.txt"
    try:
        output = json.loads(task.stdout)
    except (TypeError, ValueError):
        output = None
    return {
        "uid": task.uid,
        "state": task.state,
        "exit_code": task.exit_code,
        "stderr": task.stderr,
        "argument": task.description["arguments"][-2],
        "cores_requested": task.description["cores_per_rank"],
        "cores_assigned": [[core["index"] for core in slot["cores"]] for slot in task.slots or ()],
        "written": written.read_text() if written.exists() else None,
        "output": output,
    }


if __name__ == "__main__":
    main(run_tasks, __doc__)
