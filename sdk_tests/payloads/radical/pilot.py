"""A RADICAL pilot that runs tasks of one and of two cores; every value was worked out by the task it belongs to."""

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


def sixteen_tasks(request):
    count = int(request["params"].get("tasks", 16))
    rounds = int(request["params"].get("rounds", 100_000))
    with pilot(request) as active:
        # Tasks see the scratch folder, not necessarily the folder this program lies in.
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
                "uid": active.told.uid,
                "state": active.told.state,
                "cores": active.told.description["cores"],
                "jobs": active.guard.jobs() or [],
                "through_psij": submitted_by_psij(),
            },
            "tasks": [told(task) for task in tasks],
        }


def submitted_by_psij():
    """Return the ids of the jobs whose streams PSI/J keeps, each in a file named for its job."""
    return sorted(path.stem for path in (Path.home() / ".psij").glob("work/*/*.out"))


def told(task):
    """Return what RADICAL says of a task beside what the task says of itself."""
    written = Path(urlsplit(str(task.sandbox)).path) / "value.txt"
    try:
        own = json.loads(task.stdout)
    except (TypeError, ValueError):
        own = None
    return {
        "uid": task.uid,
        "state": task.state,
        "exit_code": task.exit_code,
        "stderr": task.stderr,
        "argument": task.description["arguments"][-2],
        "cores_asked": task.description["cores_per_rank"],
        "cores_given": [[core["index"] for core in slot["cores"]] for slot in task.slots or ()],
        "written": written.read_text() if written.exists() else None,
        "own": own,
    }


if __name__ == "__main__":
    main(sixteen_tasks, __doc__)
