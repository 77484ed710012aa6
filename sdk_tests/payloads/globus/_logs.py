"""The logs of a Globus Compute endpoint: of its workers and submit scripts, and of the endpoint itself."""

PATTERNS = (
    "endpoint/**/submit_scripts/*.stderr",
    "endpoint/**/worker_*.log",
    "endpoint/**/manager.log",
    "endpoint/**/interchange.log",
    "endpoint/**/*.log",
    "**/endpoint.log",
    "*.err",
)


def logs(scratch):
    """Yield the logs in a scratch folder: workers first, because the engine only waits for their results."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
