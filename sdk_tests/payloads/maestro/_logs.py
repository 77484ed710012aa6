"""The logs of Maestro: of each step and of the study, below the output folder of the study."""

PATTERNS = ("**/*.err", "**/logs/*.log", "**/*.out", "**/*.log", "**/*.txt")


def logs(scratch):
    """Yield the logs in a scratch folder: the steps first, then the conductor."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
