"""The logs of RADICAL: of tasks, agents, bootstrap and managers, below the folder that ``_radical.py`` creates."""

PATTERNS = (
    "agent_executing*.log",
    "agent_scheduling*.log",
    "agent_*.err",
    "agent_*.log",
    "bootstrap_*.err",
    "bootstrap_*.out",
    "*.launch.err",
    "task.*.err",
    "*.err",
    "*.launch.out",
    "rm.*.log",
    "pmgr*.log",
    "tmgr*.log",
    "radical.entk*.log",
    "*.log",
    "agent_*.out",
)


UNUSED = "radical.saga*.log"
"""Of every run, healthy ones too, it lists the adaptors for software that is absent; PSI/J submits the pilots."""


def logs(scratch):
    """Yield the logs in a scratch folder: the agent first, because the client only reports that a task failed."""
    found = sorted(path for root in scratch.glob("rct.*") for path in root.rglob("*.[eol][rou][rtg]"))
    found = [path for path in found if not path.match(UNUSED)]
    for pattern in PATTERNS:
        yield from (path for path in found if path.match(pattern))
