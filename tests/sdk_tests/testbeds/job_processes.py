"""The processes of the jobs of an OpenPBS testbed."""

from __future__ import annotations

from sdk_tests.testbeds import Daemon, Testbed, processes


def of_jobs(testbed: Testbed, job: str = "") -> list[Daemon]:
    """Return the processes of one job or of all jobs; a testbed that runs beside this one can have the same job ids."""
    inside = processes.in_namespace("mnt", testbed.extras["namespace"])
    return [each for each in processes.with_variable_prefix(f"PBS_JOBID={job}") if each in inside]
