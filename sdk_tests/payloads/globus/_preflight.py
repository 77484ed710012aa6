"""Preflight of the Globus Compute endpoint: its engines can be imported, and its command can be started."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, script


def imports():
    os.environ["GLOBUS_COMPUTE_USER_DIR"] = os.getcwd()
    import globus_compute_endpoint.engines  # noqa: F401

    script("globus-compute-endpoint")


if __name__ == "__main__":
    main(imports)
