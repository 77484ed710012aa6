"""A private Slurm: munged with a key of its own, slurmctld, and several slurmd on this host, all in one folder.

No file of the system is read for its configuration or written. It runs as whoever brings it up, root or not, and only
that user can reach it: the folder with munge's socket is closed to others, and without it nobody is let in.
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
"""Unix sockets have 108 bytes for their path, and slurmstepd adds node, job and step to the folder's."""
_PORTS = range(20000, 32000)
"""Below what Linux gives to outgoing connections, so that none of those takes a port between the choice and the use."""
_PATIENCE = 30.0
_TICK = 0.02


class _PortTakenError(Exception):
    """Somebody else took a port between the choice and the use."""


def program(name: str, path: str | None = None) -> str | None:
    """Find a program on PATH, or where daemons are kept, which an ordinary user's PATH often leaves out."""
    return shutil.which(name, path=os.pathsep.join((path or os.environ.get("PATH", os.defpath), *_SBIN)))


class SlurmTestbed(TestbedKind):
    """Brings a private Slurm up and takes it down."""

    kind = "slurm"

    def absent(self) -> str | None:
        missing = sorted(name for name in _NEEDED if program(name) is None)
        if not missing:
            return None
        packages = sorted({_NEEDED[name] for name in missing})
        return f"{', '.join(missing)}: not on PATH nor in {', '.join(_SBIN)}; install {' and '.join(packages)}"

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        reason = self.absent()
        if reason:
            raise TestbedError(f"no Slurm testbed here: {reason}")
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            raise TestbedError(
                f"no Slurm testbed for uid {os.getuid()}: Slurm refuses a user without a name in the user database"
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
        mine = (f"{MARK}={base}", f"{JOB_MARK}={base}")
        if any(daemon.name == "slurmctld" and processes.alive(daemon) for daemon in testbed.daemons):
            _cancel_jobs(testbed)
        # A job's processes are found before what they hang below is gone, and once more for what they started since.
        daemons = [daemon for daemon in testbed.daemons if processes.alive(daemon)]
        started = processes.descendants(daemons) + processes.carrying(*mine)
        left = processes.end(daemons, grace=1.0) + processes.end(started, grace=0.0)
        left += processes.end(processes.carrying(*mine), grace=0.0)
        if left:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in left)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}. They may belong to another user.")
        if base != testbed.folder:
            shutil.rmtree(base, ignore_errors=True)

    def _plan(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        """Decide names and ports; nothing is started or written yet."""
        base = folder
        if len(str(folder)) > _LONGEST or re.search(r"[^\w./+-]", str(folder)):
            base = Path("/tmp") / f"exaworks-{os.getuid()}-{folder.name}"  # noqa: S108 (made with mode 0700, or refused)
        me = processes.identify(os.getpid())
        assert me is not None
        names = self.like.nodes(nodes) if self.like else [f"n{number}" for number in range(1, nodes + 1)]
        ports = _free_ports(nodes + 1)
        env = {"SLURM_CONF": str(base / "slurm.conf"), "PATH+": str(base / "shims")}
        where = str(Path(program("sbatch") or "").parent)
        if where not in os.environ.get("PATH", "").split(os.pathsep):
            env["PATH+"] += os.pathsep + where
        return Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env=env,
            scheduler=self.like.scheduler(emulated=False)
            if self.like
            else SchedulerSpec(
                kind=self.kind,
                queues=[Queue(name=PARTITION, max_nodes=nodes, max_walltime=MAX_TIME)],
                default_queue=PARTITION,
                multi_node_queue=PARTITION,
                launchers=[Launcher(name="srun")],
                status_interval=0.2,
                max_jobs=200,
            ),
            owner=owner,
            nodes=nodes,
            version=_version(),
            extras={
                **record.birth(me),
                "base": str(base),
                "ports": " ".join(map(str, ports)),
                "cores": str((self.like.cores if self.like else None) or cores),
                "names": " ".join(names),
            },
        )

    def _start(self, testbed: Testbed) -> Testbed:
        base = _base(testbed)
        slurm_conf.lay_out(testbed, base, self.like)
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
        deadline = time.monotonic() + _PATIENCE
        munge = base / "munge"

        def launch(name: str, *argv: str) -> None:
            nonlocal testbed
            daemon = processes.spawn(
                name, [program(argv[0]) or argv[0], *argv[1:]], env, base, base / "log" / f"{name}.err"
            )
            testbed = replace(testbed, daemons=(*testbed.daemons, daemon))
            record.write(testbed)

        def until(ready: bool) -> bool:
            """Say whether to go on waiting; raise where a daemon has gone or the time is up."""
            if ready:
                return False
            for daemon in testbed.daemons:
                if not processes.alive(daemon):
                    raise _failure(testbed, daemon.name, "ended")
            if time.monotonic() > deadline:
                raise _failure(testbed, testbed.daemons[-1].name, f"was not ready in {_PATIENCE:.0f} s")
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
        while until(_connects(munge / "socket")):
            pass
        launch("slurmctld", "slurmctld", "-D", "-f", env["SLURM_CONF"])
        while until(ports[0] in processes.listening(ports[:1])):
            pass
        for name in names:
            launch(f"slurmd-{name}", "slurmd", "-D", "-N", name, "-f", env["SLURM_CONF"])
        while until(_idle(env) >= set(names)):
            pass
        testbed = replace(
            testbed,
            extras={key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP},
        )
        record.write(testbed)
        return testbed


def _base(testbed: Testbed) -> Path:
    """The folder that Slurm sees: the testbed's own, or a short one where that would be too long for its sockets."""
    return Path(testbed.extras.get("base", str(testbed.folder)))


def _free_ports(count: int) -> list[int]:
    """Choose ports that nobody is bound to at this moment."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise TestbedError(f"fewer than {count} free TCP ports between {_PORTS.start} and {_PORTS.stop}")


def _version() -> str | None:
    said = _run(["slurmd", "-V"], {"LC_ALL": "C"}).stdout.split()
    return said[-1] if said else None


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _run(argv: list[str], env: dict[str, str], seconds: float = 5.0) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's commands, and take one that hangs for one that failed."""
    full = [program(argv[0]) or argv[0], *argv[1:]]
    try:
        return subprocess.run(full, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(full, -signal.SIGKILL, "", "did not answer in time")


def _idle(env: dict[str, str]) -> set[str]:
    """Return the nodes that wait for work."""
    listed = _run(["sinfo", "-h", "-N", "-o", "%N %T"], env).stdout.split()
    return {name for name, state in zip(listed[::2], listed[1::2], strict=False) if state == "idle"}


def _cancel_jobs(testbed: Testbed) -> None:
    """Let running jobs end as a user's scancel would, for a few seconds at most; the caller kills what is left."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "SLURM_CONF": testbed.env["SLURM_CONF"]}
    jobs = _run(["squeue", "-h", "-t", "PENDING,RUNNING,SUSPENDED,CONFIGURING", "-o", "%A"], env, 3.0).stdout.split()
    if jobs:
        _run(["scancel", *dict.fromkeys(jobs)], env, 3.0)
        processes.wait([one for one in processes.descendants(testbed.daemons) if one.name == "slurmstepd"], 3.0)


def _failure(testbed: Testbed, name: str, what: str) -> Exception:
    """Return the error to raise for a daemon that did not come up, from the last line of its log."""
    log = _base(testbed) / "log" / f"{name}.log"
    said: list[str] = []
    for path in (log.with_suffix(".err"), log):
        with contextlib.suppress(FileNotFoundError):
            said += [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if any("Address already in use" in line or "Unable to bind" in line for line in said):
        return _PortTakenError(said[-1])
    last = said[-1].strip() if said else "(nothing was logged)"
    return TestbedError(f"the Slurm testbed did not come up: {name} {what}. Last line of {log.name}: {last}")
