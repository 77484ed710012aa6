"""The logs of Colmena: what the workers of its task server wrote below Parsl's ``runinfo``, and its own."""

PATTERNS = (
    "runinfo/*/submit_scripts/*.stderr",
    "runinfo/*/*/block-*/*/worker_*.log",
    "runinfo/*/*/*.log",
    "runinfo/*/*.log",
    "*.log",
    "*.err",
)


def logs(scratch):
    """Yield the logs in a scratch folder: workers first, because the thinker only waits for their results."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
