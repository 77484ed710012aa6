"""The logs of Parsl: what its workers, its interchange, its submit scripts and the client write below ``runinfo``."""

PATTERNS = (
    "runinfo/*/submit_scripts/*.stderr",
    "runinfo/*/*/block-*/*/worker_*.log",
    "runinfo/*/*/block-*/*/manager.log",
    "runinfo/*/*/interchange.log",
    "runinfo/*/submit_scripts/*.stdout",
    "runinfo/*/parsl.log",
    "runinfo/*/*.log",
    "*.stderr",
)


def logs(scratch):
    """Yield the logs in a scratch folder: workers first, because the client only reports that they failed."""
    for root in (scratch, *sorted(scratch.glob("rct.*"))):  # Parsl on RADICAL works in RADICAL's folder
        for pattern in PATTERNS:
            yield from sorted(root.glob(pattern))
