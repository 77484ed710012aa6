"""Preflight of Flux: a broker starts, runs a program and ends; its Python bindings can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, runs


def starts():
    runs("flux", "start", "true")
    runs("flux", "python", "-c", "import flux")


if __name__ == "__main__":
    main(starts)
