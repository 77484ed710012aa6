"""Preflight of Colmena: its queues, its thinker and its task servers can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, semaphores


def imports():
    import colmena.queue
    import colmena.task_server
    import colmena.thinker  # noqa: F401

    semaphores()


if __name__ == "__main__":
    main(imports)
