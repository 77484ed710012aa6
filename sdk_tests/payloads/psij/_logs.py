"""The logs of PSI/J: output, error and exit code of each job and of its launcher, below its work directory."""

PATTERNS = (
    "psij/**/*.err",
    "psij/**/*.out",
    "psij/**/*.log",
    "psij/**/*.ec",
    "*.err",
    "*.out",
    "*.log",
    "slurm-*.out",
)


def logs(scratch):
    """Yield the logs in a scratch folder: what the job printed first, then what its launcher wrote."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
