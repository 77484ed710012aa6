"""A private Slurm: munged with its own key, slurmctld, and several slurmd on this host, all in one folder.

It neither reads its configuration from files of the system nor writes such files. It runs as the user who starts it,
root or not, and only that user can use it: other users cannot enter the folder with the socket of munge, and without
munge Slurm refuses them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import processes, record, slurm_conf
from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.site_profile import prompt
from sdk_tests.testbeds.slurm_conf import JOB_MARK, MARK, MAX_TIME, PARTITION
from site_configs.schema import Launcher, Queue, SchedulerSpec

_NEEDED = {
    "munged": "munge",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
    "srun": "slurm-wlm",
    "squeue": "slurm-wlm",
    "scancel": "slurm-wlm",
    "sinfo": "slurm-wlm",
}
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_LONGEST = 60
"""Maximum length of the folder: a socket path has 108 bytes, and slurmstepd adds node, job and step."""
_PORTS = range(20000, 32000)
"""Below the ports that Linux uses for outgoing connections, so that none of those takes a port that was chosen."""
_START_TIMEOUT = 30.0
_TICK = 0.02


class _PortTakenError(Exception):
    """Another process took a port between its choice and its use."""


def program(name: str, path: str | None = None) -> str | None:
    """Find a program on PATH or in the folders of daemons, which are often not on the PATH of ordinary users."""
    return shutil.which(name, path=os.pathsep.join((path or os.environ.get("PATH", os.defpath), *_SBIN)))


class SlurmTestbed(TestbedKind):
    """Starts and stops a private Slurm."""

    kind = "slurm"

    def absent(self) -> str | None:
        missing = sorted(name for name in _NEEDED if program(name) is None)
        if not missing:
            return None
        packages = sorted({_NEEDED[name] for name in missing})
        return f"{', '.join(missing)}: not on PATH or in {', '.join(_SBIN)}; install {' and '.join(packages)}"

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        reason = self.absent()
        if reason:
            raise TestbedError(f"no Slurm testbed here: {reason}")
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            raise TestbedError(
                f"no Slurm testbed for uid {os.getuid()}: Slurm refuses users without an entry in the user database"
            ) from None
        for attempt in range(3):
            testbed = self._plan(folder, nodes, cores, owner)
            record.write(testbed)
            try:
                return self._start(testbed)
            except _PortTakenError as error:
                self.down(record.read(folder))
                if attempt == 2:
                    raise TestbedError(f"no free ports for a Slurm testbed in three attempts: {error}") from error
        raise AssertionError("unreachable")

    def down(self, testbed: Testbed) -> None:
        base = _base(testbed)
        marks = (f"{MARK}={base}", f"{JOB_MARK}={base}")
        if any(daemon.name == "slurmctld" and processes.alive(daemon) for daemon in testbed.daemons):
            _cancel_jobs(testbed)
        # The processes of jobs are listed before their parents are gone, and again for those that were started since.
        daemons = [daemon for daemon in testbed.daemons if processes.alive(daemon)]
        started = processes.descendants(daemons) + processes.with_variable(*marks)
        survivors = processes.end(daemons, grace=1.0) + processes.end(started, grace=0.0)
        survivors += processes.end(processes.with_variable(*marks), grace=0.0)
        if survivors:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in survivors)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}. They may belong to another user.")
        if base != testbed.folder:
            shutil.rmtree(base, ignore_errors=True)

    def _plan(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        """Choose names and ports; nothing is started or written yet."""
        base = folder
        if len(str(folder)) > _LONGEST or re.search(r"[^\w./+-]", str(folder)):
            base = Path("/tmp") / f"exaworks-{os.getuid()}-{folder.name}"  # noqa: S108 (created with mode 0700, or refused)
        me = processes.identify(os.getpid())
        assert me is not None
        names = self.profile.nodes(nodes) if self.profile else [f"n{number}" for number in range(1, nodes + 1)]
        ports = _free_ports(nodes + 1)
        env = {"SLURM_CONF": str(base / "slurm.conf"), "PATH+": str(base / "shims")}
        bin_folder = str(Path(program("sbatch") or "").parent)
        if bin_folder not in os.environ.get("PATH", "").split(os.pathsep):
            env["PATH+"] += os.pathsep + bin_folder
        return Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env=env,
            scheduler=self.profile.scheduler(emulated=False)
            if self.profile
            else prompt(
                SchedulerSpec(
                    kind=self.kind,
                    queues=[Queue(name=PARTITION, max_nodes=nodes, max_walltime=MAX_TIME)],
                    default_queue=PARTITION,
                    multi_node_queue=PARTITION,
                    launchers=[Launcher(name="srun")],
                    max_jobs=200,
                )
            ),
            owner=owner,
            nodes=nodes,
            version=_version(),
            extras={
                **record.initial_extras(me),
                "base": str(base),
                "ports": " ".join(map(str, ports)),
                "cores": str((self.profile.cores if self.profile else None) or cores),
                "names": " ".join(names),
            },
        )

    def _start(self, testbed: Testbed) -> Testbed:
        base = _base(testbed)
        slurm_conf.write_files(testbed, base, self.profile)
        path = os.pathsep.join(dict.fromkeys((*os.environ.get("PATH", os.defpath).split(os.pathsep), *_SBIN)))
        env = {
            "PATH": path,
            "HOME": str(base),
            "LC_ALL": "C",
            "SLURM_CONF": testbed.env["SLURM_CONF"],
            MARK: str(base),
        }
        names = testbed.extras["names"].split()
        ports = [int(port) for port in testbed.extras["ports"].split()]
        deadline = time.monotonic() + _START_TIMEOUT
        munge = base / "munge"

        def launch(name: str, *argv: str) -> None:
            nonlocal testbed
            daemon = processes.spawn(
                name, [program(argv[0]) or argv[0], *argv[1:]], env, base, base / "log" / f"{name}.err"
            )
            testbed = replace(testbed, daemons=(*testbed.daemons, daemon))
            record.write(testbed)

        def waiting(ready: bool) -> bool:
            """Return whether to continue waiting; raise an error if a daemon has ended or the time is up."""
            if ready:
                return False
            for daemon in testbed.daemons:
                if not processes.alive(daemon):
                    raise _failure(testbed, daemon.name, "ended")
            if time.monotonic() > deadline:
                raise _failure(testbed, testbed.daemons[-1].name, f"was not ready in {_START_TIMEOUT:.0f} s")
            time.sleep(_TICK)
            return True

        launch(
            "munged",
            "munged",
            "--foreground",
            "--force",
            f"--socket={munge / 'socket'}",
            f"--key-file={munge / 'key'}",
            f"--pid-file={munge / 'pid'}",
            f"--seed-file={munge / 'seed'}",
            f"--log-file={base / 'log' / 'munged.log'}",
        )
        while waiting(_connects(munge / "socket")):
            pass
        launch("slurmctld", "slurmctld", "-D", "-f", env["SLURM_CONF"])
        while waiting(ports[0] in processes.listening(ports[:1])):
            pass
        for name in names:
            launch(f"slurmd-{name}", "slurmd", "-D", "-N", name, "-f", env["SLURM_CONF"])
        while waiting(_idle(env) >= set(names)):
            pass
        testbed = replace(
            testbed,
            extras={key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP},
        )
        record.write(testbed)
        return testbed


def _base(testbed: Testbed) -> Path:
    """Return the folder that Slurm uses: that of the testbed, or a short one if its path is too long for sockets."""
    return Path(testbed.extras.get("base", str(testbed.folder)))


def _free_ports(count: int) -> list[int]:
    """Choose ports to which no process is bound at the moment."""
    free: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise TestbedError(f"there are fewer than {count} free TCP ports between {_PORTS.start} and {_PORTS.stop}")


def _version() -> str | None:
    output = _run(["slurmd", "-V"], {"LC_ALL": "C"}).stdout.split()
    return output[-1] if output else None


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _run(argv: list[str], env: dict[str, str], seconds: float = 5.0) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm; a command that hangs counts as failed."""
    full = [program(argv[0]) or argv[0], *argv[1:]]
    try:
        return subprocess.run(full, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(full, -signal.SIGKILL, "", "did not answer in time")


def _idle(env: dict[str, str]) -> set[str]:
    """Return the names of the idle nodes."""
    listed = _run(["sinfo", "-h", "-N", "-o", "%N %T"], env).stdout.split()
    return {name for name, state in zip(listed[::2], listed[1::2], strict=False) if state == "idle"}


def _cancel_jobs(testbed: Testbed) -> None:
    """Cancel running jobs as scancel does, within a few seconds; the caller kills what still runs then."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "SLURM_CONF": testbed.env["SLURM_CONF"]}
    jobs = _run(["squeue", "-h", "-t", "PENDING,RUNNING,SUSPENDED,CONFIGURING", "-o", "%A"], env, 3.0).stdout.split()
    if jobs:
        _run(["scancel", *dict.fromkeys(jobs)], env, 3.0)
        processes.wait([one for one in processes.descendants(testbed.daemons) if one.name == "slurmstepd"], 3.0)


def _failure(testbed: Testbed, name: str, what: str) -> Exception:
    """Return the error for a daemon that did not start, with the last line of its log."""
    log = _base(testbed) / "log" / f"{name}.log"
    output: list[str] = []
    for path in (log.with_suffix(".err"), log):
        with contextlib.suppress(FileNotFoundError):
            output += [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if any("Address already in use" in line or "Unable to bind" in line for line in output):
        return _PortTakenError(output[-1])
    last = output[-1].strip() if output else "(the log is empty)"
    return TestbedError(f"the Slurm testbed did not start: {name} {what}. Last line of {log.name}: {last}")
