"""The scheduler kinds: how to submit, query and cancel jobs on each scheduler, and how to read its answers.

Each kind is one module. To add a kind, write one new file and add one line to the entry point group
``exaworks.schedulers``. Of the project, this package may import only ``site_configs``, ``sdk_tests.errors`` and
``sdk_tests.model``.
"""

from __future__ import annotations

from sdk_tests.schedulers.base import (
    AllocationCheck,
    CommandFailed,
    CommandResult,
    JobSpec,
    JobState,
    JobStatus,
    OwnJob,
    Probe,
    SchedulerKind,
)

__all__ = [
    "AllocationCheck",
    "CommandFailed",
    "CommandResult",
    "JobSpec",
    "JobState",
    "JobStatus",
    "OwnJob",
    "Probe",
    "SchedulerKind",
]
