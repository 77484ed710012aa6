"""The faults of each kind of testbed: emulated, Slurm, Flux and OpenPBS; ``faults`` selects them."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdk_tests.emulators import client
from sdk_tests.errors import TestbedError
from sdk_tests.schedulers.commands import find
from sdk_tests.testbeds import processes, record
from sdk_tests.testbeds.base import Testbed
from tests.sdk_tests.testbeds.fault_base import Faults
from tests.sdk_tests.testbeds.openpbs_faults import OpenPbsFaults


class EmulatorFaults(Faults):
    """Faults of an emulator, which has requests for them."""

    def refuse(self) -> None:
        self._request("refuse", message="jobs are not accepted at this time")

    def down(self, seconds: float) -> None:
        self._request("down", seconds=seconds)

    def kill_node(self, job: str) -> None:
        (status,) = self._request("jobs", numbers=[_number(job)])
        self._request("node", name=status["hosts"][0])

    def preempt(self, job: str) -> None:
        self._request("requeue", number=_number(job))

    def hold(self) -> None:
        self._request("hold", on=True)

    def release(self, job: str) -> None:
        self._request("release", numbers=[_number(job)])

    def expire(self, job: str) -> None:
        self._request("expire", number=_number(job))

    def vanish(self, job: str) -> None:
        self._request("vanish", number=_number(job))

    def mend(self) -> None:
        super().mend()
        self._request("refuse", message=None)
        self._request("hold", on=False)

    def _request(self, op: str, **arguments: Any) -> Any:
        with _variable(client.VARIABLE, str(self.testbed.folder)):
            return client.request(op, **arguments)


class SlurmFaults(Faults):
    """Faults of a private Slurm: scontrol, signals to its daemons, and a squeue that leaves jobs out."""

    def refuse(self) -> None:
        self._scontrol("update", f"PartitionName={self._partition()}", "State=DRAIN")

    def down(self, seconds: float) -> None:
        """Kill slurmctld and start it again; returns after the restart."""
        (daemon,) = [one for one in self.testbed.daemons if one.name == "slurmctld"]
        processes.end([daemon], grace=0.0)
        time.sleep(seconds)
        base = Path(self.testbed.extras["base"])
        argv = [find("slurmctld", self.env, "/usr/local/sbin", "/usr/sbin") or "slurmctld", "-D"]
        argv += ["-f", self.testbed.env["SLURM_CONF"]]
        started = processes.spawn("slurmctld", argv, self._daemon_env(), base, base / "log" / "slurmctld.err")
        daemons = tuple(started if one.name == "slurmctld" else one for one in self.testbed.daemons)
        self.testbed = replace(self.testbed, daemons=daemons)
        record.write(self.testbed)

    def kill_node(self, job: str) -> None:
        node = self._run("squeue", "-h", "-o", "%B", "-j", job).strip()
        for daemon in self.testbed.daemons:
            if daemon.name == f"slurmd-{node}":
                processes.end([daemon], grace=0.0)
        processes.end(processes.with_variable(f"SLURM_JOB_ID={job}"), grace=0.0)
        self._scontrol("update", f"NodeName={node}", "State=DOWN", "Reason=died")

    def preempt(self, job: str) -> None:
        self._scontrol("update", f"JobId={job}", "Requeue=1")
        self._scontrol("requeuehold", job)

    def hold(self) -> None:
        self._scontrol("update", f"PartitionName={self._partition()}", "State=DOWN")

    def release(self, job: str) -> None:
        """Jobs wait for their partition here, so all of them are released."""
        self._scontrol("update", f"PartitionName={self._partition()}", "State=UP")

    def expire(self, job: str) -> None:
        self._scontrol("update", f"JobId={job}", f"EndTime={time.strftime('%Y-%m-%dT%H:%M:%S', time.localtime())}")

    def vanish(self, job: str) -> None:
        self._shim(f"{self._real()} \"$@\" | grep -v '^{job} *|'\nexit 0\n")
        self._run("scancel", job)

    def mend(self) -> None:
        super().mend()
        self._scontrol("update", f"PartitionName={self._partition()}", "State=UP")

    def _partition(self) -> str:
        return self.testbed.scheduler.default_queue or "debug"

    def _daemon_env(self) -> dict[str, str]:
        from sdk_tests.testbeds.slurm_conf import MARK

        base = self.testbed.extras["base"]
        return {"PATH": self.env["PATH"], "HOME": base, "LC_ALL": "C", **_only(self.testbed.env), MARK: base}

    def _scontrol(self, *argv: str) -> None:
        self._run("scontrol", *argv)

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise TestbedError(f"{shlex.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class FluxFaults(Faults):
    """Faults of a private Flux: its administrative commands, and signals to its brokers."""

    def refuse(self) -> None:
        self._flux("queue", "disable", "--all", "--message=no jobs at this time")

    def down(self, seconds: float) -> None:
        """Rename the socket of the broker: commands cannot connect, and jobs continue; returns after that."""
        broker = Path(self.testbed.env["FLUX_URI"].partition("://")[2])
        broker.rename(broker.with_suffix(".away"))
        time.sleep(seconds)
        broker.with_suffix(".away").rename(broker)

    def kill_node(self, job: str) -> None:
        """Kill the broker of the job. It must not be the first one, which is the instance itself: drain that before."""
        rank = self._flux("jobs", "-n", "-o", "{ranks}", job).strip().strip("[]").partition("-")[0].partition(",")[0]
        pid = self._flux("exec", "-r", rank, "flux", "getattr", "broker.pid").split()[-1]
        os.kill(int(pid), signal.SIGKILL)

    def preempt(self, job: str) -> None:
        """Cancel the job with a note about preemption, because Flux does not requeue jobs."""
        self._flux("job", "raise", "--type=cancel", "--severity=0", job, "preempted by a job of higher priority")

    def hold(self) -> None:
        self._flux("queue", "stop", "--all")

    def release(self, job: str) -> None:
        """Jobs wait for their queue here, so all of them are released."""
        self._flux("queue", "start", "--all")

    def expire(self, job: str) -> None:
        self._flux("job", "raise", "--type=timeout", "--severity=0", job, "resource allocation expired")

    def vanish(self, job: str) -> None:
        self._shim(f'{self._real()} "$@" | grep -v "^{job} *|"\nexit 0\n')
        self._flux("cancel", job)

    def mend(self) -> None:
        super().mend()
        self._flux("queue", "enable", "--all")
        self._flux("queue", "start", "--all")

    def _flux(self, *argv: str) -> str:
        done = subprocess.run(["flux", *argv], env=self.env, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise TestbedError(f"flux {shlex.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def faults(testbed: Testbed) -> Faults:
    """Return the faults of this testbed's kind."""
    if testbed.scheduler.emulated:
        return EmulatorFaults(testbed)
    kinds: dict[str, type[Faults]] = {"slurm": SlurmFaults, "flux": FluxFaults, "pbs": OpenPbsFaults}
    return kinds[testbed.kind](testbed)


def _number(job: str) -> int:
    return int(job.partition(".")[0])


def _only(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.endswith("+")}


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
