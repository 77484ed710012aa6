"""Faults on a real OpenPBS."""

from __future__ import annotations

import re
import shlex
import subprocess
import time

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import openpbs, processes
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.job_processes import of_jobs


class OpenPbsFaults(Faults):
    """Faults of a private OpenPBS: its administrative commands, and signals to its daemons."""

    def refuse(self) -> None:
        self._queues("enabled = False")

    def down(self, seconds: float) -> None:
        """Kill the server and start it again; returns after the restart."""
        processes.end([one for one in self.testbed.daemons if one.name == "pbs_server"], grace=0.0)
        time.sleep(seconds)
        self.testbed = openpbs.start(
            self.testbed, "pbs_server", [f"{self.testbed.extras['root']}/sbin/pbs_server", "-N"]
        )

    def kill_node(self, job: str) -> None:
        """Kill its MOM and all processes of the job, as in a power failure; then start a new MOM without state."""
        status = self._run("qstat", "-f", job).replace("\n\t", "")
        node = re.search(r"exec_host = ([^/]+)/", status)
        if node is None:
            raise TestbedError(f"job {job} has no node")
        name = node.group(1)
        processes.end([one for one in self.testbed.daemons if one.name == f"pbs_mom-{name}"], grace=0.0)
        processes.end(of_jobs(self.testbed, job), grace=0.0)
        self.testbed = openpbs.start_mom(self.testbed, name)

    def preempt(self, job: str) -> None:
        self._run("qalter", "-r", "y", job)
        self._run("qhold", "-h", "s", job)
        self._run("qrerun", job)

    def hold(self) -> None:
        self._qmgr("set server scheduling = False")

    def release(self, job: str) -> None:
        """Jobs wait for the scheduler here, so all of them are released."""
        self._qmgr("set server scheduling = True")

    def expire(self, job: str) -> None:
        self._run("qalter", "-l", "walltime=1", job)

    def vanish(self, job: str) -> None:
        """Delete a job with its history, so that PBS no longer knows it."""
        self._run("qdel", "-x", "-W", "force", job)

    def mend(self) -> None:
        super().mend()
        self._queues("enabled = True")
        self._qmgr("set server scheduling = True")

    def _queues(self, change: str) -> None:
        self._qmgr("\n".join(f"set queue {queue.name} {change}" for queue in self.testbed.scheduler.queues))

    def _qmgr(self, line: str) -> None:
        done = openpbs.manage(self.testbed, line)
        if done.returncode != 0:
            raise TestbedError(f"qmgr: {line}: exit {done.returncode}: {done.stderr.strip()}")

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise TestbedError(f"{shlex.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout
