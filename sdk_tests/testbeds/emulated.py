"""Throw-away LSF, PBS and Cobalt, emulated: a daemon of our own, and commands on PATH that talk to it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from sdk_tests.emulators.client import VARIABLE
from sdk_tests.emulators.work import MARK
from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import processes, record
from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.likeness import RESOURCES, queues
from site_configs.schema import Launcher, Queue, SchedulerSpec

PROGRAM = Path(__file__).resolve().parents[1] / "emulators" / "main.py"
SHIMS = "shims"
"""A folder before all others on PATH, empty: fault injection puts slow or garbled commands there."""
_PATIENCE = 20.0


class EmulatedTestbed(TestbedKind):
    """Brings one emulated scheduler up and takes it down."""

    commands: tuple[str, ...]
    launchers: tuple[str, ...]
    queue = "debug"

    def absent(self) -> str | None:
        return None if sys.platform.startswith("linux") else "emulators need Linux: they find processes in /proc"

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        me = processes.identify(os.getpid())
        assert me is not None
        bin_folder, shims = folder / "bin", folder / SHIMS
        cores = (self.like.cores if self.like else None) or cores
        testbed = Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env={VARIABLE: str(folder), "PATH+": f"{shims}{os.pathsep}{bin_folder}"},
            scheduler=self.spec(nodes),
            owner=owner,
            nodes=nodes,
            version=f"{self.kind} emulated",
            extras={**record.birth(me), "cores": str(cores)},
        )
        record.write(testbed)
        try:
            for made in (bin_folder, shims, folder / "log"):
                made.mkdir(mode=0o700)
            (folder / "cluster.json").write_text(json.dumps(self._cluster(testbed, nodes, cores), indent=1))
            (folder / "launchers.json").write_text(
                json.dumps({launcher.name: list(launcher.flags) for launcher in testbed.scheduler.launchers})
            )
            for name in self.commands:
                program(bin_folder / name, self.kind)
            for name in self.launchers:
                program(bin_folder / name, "launchers")
        except OSError as error:
            raise TestbedError(f"cannot write the testbed's folder {folder}: {error.strerror}") from error
        path = os.pathsep.join((str(shims), str(bin_folder), os.environ.get("PATH", os.defpath)))
        env = {"PATH": path, "HOME": os.environ.get("HOME", "/"), VARIABLE: str(folder)}
        argv = [sys.executable, "-I", "-S", str(PROGRAM), self.kind, "daemon", str(folder)]
        daemon = processes.spawn(f"{self.kind}-emulator", argv, env, folder, folder / "log" / "emulator.err")
        testbed = replace(testbed, daemons=(daemon,))
        record.write(testbed)
        deadline = time.monotonic() + _PATIENCE
        while not _answers(folder):
            if not processes.alive(daemon) or time.monotonic() > deadline:
                said = (folder / "log" / "emulator.err").read_text(errors="replace").strip().splitlines()
                raise TestbedError(
                    f"the {self.kind} emulator did not come up: {said[-1] if said else 'it said nothing'}"
                )
            time.sleep(0.02)
        extras = {key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP}
        testbed = replace(testbed, extras=extras)
        record.write(testbed)
        return testbed

    def down(self, testbed: Testbed) -> None:
        left = processes.end([one for one in testbed.daemons if processes.alive(one)], grace=5.0)
        left += processes.end(processes.marked(f"{MARK}={testbed.folder}#"), grace=0.0)
        if left:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in left)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}. They may belong to another user.")

    def spec(self, nodes: int) -> SchedulerSpec:
        """Return the site's entry, or one with a single queue."""
        if self.like is not None:
            return self.like.scheduler(emulated=True)
        return SchedulerSpec(
            kind=self.kind,
            emulated=True,
            queues=[Queue(name=self.queue, max_nodes=nodes, max_walltime="01:00:00")],
            default_queue=self.queue,
            multi_node_queue=self.queue,
            launchers=[Launcher(name=name) for name in self.launchers],
            status_interval=0.2,
            max_jobs=200,
        )

    def _cluster(self, testbed: Testbed, nodes: int, cores: int) -> dict[str, object]:
        spec, like = testbed.scheduler, self.like
        names = like.nodes(nodes) if like else [f"n{number}" for number in range(1, nodes + 1)]
        account = os.environ.get(spec.account_env) if spec.account_env else None
        asked = [word.partition("=")[0] for line in spec.directives for word in shlex.split(line) if "=" in word]
        return {
            "dialect": self.kind,
            "host": f"{like.system.name if like else 'emulated'}-{self.kind}",
            "nodes": [{"name": name, "cores": cores, "gpus": like.system.node.gpus if like else 0} for name in names],
            "queues": queues(spec),
            "default_queue": spec.default_queue or (spec.queues[0].name if spec.queues else self.queue),
            "accounts": [account] if account else None,
            "exclusive": spec.exclusive,
            "resources": sorted({*RESOURCES, *(name.lstrip("-") for name in asked)}) if self.kind == "pbs" else [],
            "required": ["filesystems"] if self.kind == "pbs" and "filesystems" in asked else [],
        }


class LsfTestbed(EmulatedTestbed):
    """LSF as on Lassen and Summit."""

    kind = "lsf"
    commands = ("bsub", "bjobs", "bkill", "bqueues", "bhosts", "lsid")
    launchers = ("jsrun", "lrun")


class CobaltTestbed(EmulatedTestbed):
    """Cobalt as on Theta."""

    kind = "cobalt"
    commands = ("qsub", "qstat", "qdel", "cqwait", "nodelist", "partlist")
    launchers = ("aprun",)
    queue = "default"


class PbsTestbed(EmulatedTestbed):
    """PBS as on Aurora and Polaris."""

    kind = "pbs"
    commands = ("qsub", "qstat", "qdel", "qselect", "pbsnodes")
    launchers = ("mpiexec",)


def program(path: Path, dialect: str) -> None:
    """Write a command of an emulator; its name says which."""
    words = shlex.join([sys.executable, "-I", "-S", str(PROGRAM), dialect, path.name])
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o700)


def _answers(folder: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        here = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            probe.connect(f"/proc/self/fd/{here}/engine.sock")
        finally:
            os.close(here)
        return True
    return False
