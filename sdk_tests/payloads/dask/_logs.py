"""The logs of Dask: the output of the workers' jobs, in the folder that ``_dask.py`` names, and of workers by hand."""

PATTERNS = ("dask-logs/*.err", "dask-logs/*.out", "dask-logs/*", "*.err", "*.out", "psij/**/*.out", "*.log")


def logs(scratch):
    """Yield the logs in a scratch folder: of the workers first, because the client only waits for them."""
    for pattern in PATTERNS:
        yield from sorted(path for path in scratch.glob(pattern) if path.is_file())
