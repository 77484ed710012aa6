"""Preflight of PSI/J: it can be imported, finds its plug-ins, and can create an executor and the common launchers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main


def imports():
    import psij

    psij.JobExecutor.get_instance("local")
    for name in ("single", "multiple", "mpirun"):
        psij.Launcher.get_instance(name)


if __name__ == "__main__":
    main(imports)
