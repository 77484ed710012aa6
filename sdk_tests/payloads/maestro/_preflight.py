"""Preflight of Maestro: it can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main


def imports():
    import maestrowf  # noqa: F401


if __name__ == "__main__":
    main(imports)
