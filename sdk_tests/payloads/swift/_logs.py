"""The logs of Swift/T: the output of the compiler and of the run, and Turbine's own folder for batch jobs."""

PATTERNS = (
    "swift-t.out",
    "stc.out",
    "turbine-output/**/output*.txt",
    "turbine-output/**/turbine.log",
    "turbine-output/**/*.log",
    "*.out",
    "*.err",
    "*.log",
)


def logs(scratch):
    """Yield the logs in a scratch folder: the run first, whose output contains the compiler's messages."""
    for pattern in PATTERNS:
        yield from sorted(scratch.glob(pattern))
