"""Parsl: one worker for each GPU of the node, all working at the same time, each with its own GPU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

PROGRAM = str(Path(__file__).resolve().parent.parent / "_gpus.py")


def gpus(request):
    import parsl
    from _parsl import loaded, seconds_left

    @parsl.python_app
    def report_gpus(python, *arguments):
        import json
        import subprocess

        done = subprocess.run([python, *map(str, arguments)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    count = int(request.get("gpus") or request["params"].get("gpus", 2))
    folder = Path("arrived").absolute()
    folder.mkdir()
    workers = {"available_accelerators": count, "max_workers_per_node": count, "cores_per_worker": 0.01}
    with loaded(request, executor=workers):
        seconds = seconds_left(request) - 5
        futures = [report_gpus(sys.executable, PROGRAM, str(folder), number, count, seconds) for number in range(count)]
        return {"gpus": count, "tasks": [future.result(timeout=seconds_left(request)) for future in futures]}


if __name__ == "__main__":
    main(gpus, __doc__)
