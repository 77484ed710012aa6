"""The logs of libEnsemble: the output of each simulation, and what the manager and the workers wrote."""

PATTERNS = ("**/*.err", "ensemble.log", "libE_stats.txt", "**/*.out", "psij/**/*.out", "*.log")


def logs(scratch):
    """Yield the logs in a scratch folder: of the simulations first, then those of the ensemble."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
