"""Preflight of Swift/T: its command starts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, runs


def starts():
    runs("swift-t", "-v")


if __name__ == "__main__":
    main(starts)
