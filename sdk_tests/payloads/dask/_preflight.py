"""Preflight of Dask: its scheduler, workers and the clusters for batch systems can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main


def imports():
    import dask_jobqueue  # noqa: F401
    import distributed.cli.dask_worker  # noqa: F401


if __name__ == "__main__":
    main(imports)
