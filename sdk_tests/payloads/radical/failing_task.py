"""A task that exits with a chosen code and a task that passes: each has its own state and exit code."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from _payload import main  # noqa: E402
from _radical import pilot  # noqa: E402


def failing_and_passing(request):
    code = int(request["params"].get("exit_code", 3))
    scripts = {"failing": f"echo wrong >&2; exit {code}", "passing": "echo $((6 * 7))"}
    with pilot(request) as active:
        tasks = active.run(
            {"name": name, "executable": "/bin/sh", "arguments": ["-c", script]} for name, script in scripts.items()
        )
        return {
            task.name: {
                "state": task.state,
                "exit_code": task.exit_code,
                "stdout": (task.stdout or "").strip(),
                "stderr": (task.stderr or "").strip(),
            }
            for task in tasks
        }


if __name__ == "__main__":
    main(failing_and_passing, __doc__)
