"""The scheduler kinds: how to submit to, query and cancel on each scheduler, and how to read its answers.

One module a kind; adding a kind is one new file and one line under the entry point group ``exaworks.schedulers``. This
room may import ``site_configs``, ``sdk_tests.errors`` and nothing else of the project.
"""

from __future__ import annotations

from sdk_tests.schedulers.base import (
    CommandFailed,
    Finished,
    JobSpec,
    JobState,
    JobStatus,
    Probe,
    SchedulerKind,
)

__all__ = ["CommandFailed", "Finished", "JobSpec", "JobState", "JobStatus", "Probe", "SchedulerKind"]
