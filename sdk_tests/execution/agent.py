"""Runs the cases of one shared allocation, from inside it: ``python agent.py ORDERS``.

Standard library only. ``ORDERS`` is a JSON file the supervisor wrote on the shared file system; each case's end is
written beside it as ``<index>.json`` with ``<index>.out`` and ``<index>.err``, atomically, so the supervisor can
collect each as it lands, also after a kill.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable


def write(folder: Path, index: int, ended: ProcessEnd, waited: bool) -> None:
    """Leave one case's end in the folder; the JSON file comes last, so its presence means all is there.

    ``waited``: the case had to wait for a slot of the allocation, so its start says nothing about launching.
    """
    (folder / f"{index}.out").write_bytes(ended.stdout)
    (folder / f"{index}.err").write_bytes(ended.stderr)
    meta = {
        "ending": ended.ending,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "stdout_bytes": ended.stdout_bytes,
        "started": ended.started,
        "ended": ended.ended,
        "leftovers": list(ended.leftovers),
        "detail": ended.detail,
        "waited": waited,
    }
    temporary = folder / f".{index}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / f"{index}.json")


def main(requests: Path) -> None:
    """Run every case, as many at once as the slots allow; SIGTERM cancels those that run."""
    folder = requests.parent
    given: dict[str, Any] = json.loads(requests.read_text(encoding="utf-8"))
    waiting = list(enumerate(given["cases"]))
    processes = ProcessTable()
    used = 0
    full = False
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    (folder / "agent.json").write_text(json.dumps({"pid": os.getpid(), "started": time.time()}), encoding="utf-8")

    def done(index: int, cores: int, waited: bool, ended: ProcessEnd) -> None:
        nonlocal used
        used -= cores
        write(folder, index, ended, waited)

    while waiting or len(processes):
        if stopping:
            waiting.clear()
            processes.cancel_all()
        while waiting and (used == 0 or used + waiting[0][1]["cores"] <= given["slots"]):
            index, case = waiting.pop(0)
            used += case["cores"]
            (folder / f"{index}.started").touch()
            processes.spawn(
                case["key"],
                case["argv"],
                {**os.environ, **case["env"]},
                case["scratch"],
                case["walltime"],
                partial(done, index, case["cores"], full),
                mark=case["mark"],
            )
        full = full or bool(waiting)
        processes.poll(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
