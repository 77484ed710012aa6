"""Preflight of Parsl: its executor, interchange and workers can be imported, and their scripts can be started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, script, semaphores


def imports():
    from parsl.executors import HighThroughputExecutor  # noqa: F401

    semaphores()
    for name in ("interchange.py", "process_worker_pool.py"):
        script(name)


if __name__ == "__main__":
    main(imports)
