"""The logs of Flux: of brokers and jobs that a payload started in its scratch folder."""

PATTERNS = ("*broker*.log", "flux*.log", "*.err", "*.log", "*.out", "*/*.log", "*/*.err")


def logs(scratch):
    """Yield the logs in a scratch folder: brokers first."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
