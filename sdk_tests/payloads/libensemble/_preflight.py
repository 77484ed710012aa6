"""Preflight of libEnsemble: its manager and executors can be imported, and processes can share semaphores."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, semaphores


def imports():
    import libensemble.executors
    import libensemble.libE  # noqa: F401

    semaphores()


if __name__ == "__main__":
    main(imports)
