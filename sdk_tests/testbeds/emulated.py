"""Testbeds with an emulated LSF, PBS or Cobalt: a daemon of this project, and commands on PATH that talk to it."""

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
from sdk_tests.testbeds.site_profile import RESOURCES, prompt, queues
from site_configs.schema import Launcher, Queue, SchedulerSpec
from site_configs.values import Dialect

PROGRAM = Path(__file__).resolve().parents[1] / "emulators" / "main.py"
SHIMS = "shims"
"""An empty folder at the start of PATH; fault injection puts slow or garbled commands there."""
_START_TIMEOUT = 20.0


class EmulatedTestbed(TestbedKind):
    """Starts and stops one emulated scheduler."""

    commands: tuple[str, ...]
    launchers: tuple[str, ...]
    queue = "debug"
    dialect: Dialect | None = None

    def absent(self) -> str | None:
        return (
            None if sys.platform.startswith("linux") else "emulators need Linux, because they find processes in /proc"
        )

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        me = processes.identify(os.getpid())
        assert me is not None
        bin_folder, shims = folder / "bin", folder / SHIMS
        cores = (self.profile.cores if self.profile else None) or cores
        testbed = Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env={VARIABLE: str(folder), "PATH+": f"{shims}{os.pathsep}{bin_folder}"},
            scheduler=self.spec(nodes),
            owner=owner,
            nodes=nodes,
            version=f"{self.kind} emulated",
            extras={**record.initial_extras(me), "cores": str(cores)},
        )
        record.write(testbed)
        try:
            for new in (bin_folder, shims, folder / "log"):
                new.mkdir(mode=0o700)
            (folder / "cluster.json").write_text(json.dumps(self._cluster(testbed, nodes, cores), indent=1))
            (folder / "launchers.json").write_text(
                json.dumps({launcher.name: list(launcher.flags) for launcher in testbed.scheduler.launchers})
            )
            for name in self.commands:
                program(bin_folder / name, self.kind)
            for name in self.launchers:
                program(bin_folder / name, "launchers")
        except OSError as error:
            raise TestbedError(f"cannot write the folder of the testbed, {folder}: {error.strerror}") from error
        path = os.pathsep.join((str(shims), str(bin_folder), os.environ.get("PATH", os.defpath)))
        env = {"PATH": path, "HOME": os.environ.get("HOME", "/"), VARIABLE: str(folder)}
        argv = [sys.executable, "-I", "-S", str(PROGRAM), self.kind, "daemon", str(folder)]
        daemon = processes.spawn(f"{self.kind}-emulator", argv, env, folder, folder / "log" / "emulator.err")
        testbed = replace(testbed, daemons=(daemon,))
        record.write(testbed)
        deadline = time.monotonic() + _START_TIMEOUT
        while not _answers(folder):
            if not processes.alive(daemon) or time.monotonic() > deadline:
                output = (folder / "log" / "emulator.err").read_text(errors="replace").strip().splitlines()
                raise TestbedError(f"the {self.kind} emulator did not start: {output[-1] if output else 'no output'}")
            time.sleep(0.02)
        extras = {key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP}
        testbed = replace(testbed, extras=extras)
        record.write(testbed)
        return testbed

    def down(self, testbed: Testbed) -> None:
        survivors = processes.end([one for one in testbed.daemons if processes.alive(one)], grace=5.0)
        survivors += processes.end(processes.with_variable_prefix(f"{MARK}={testbed.folder}#"), grace=0.0)
        if survivors:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in survivors)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}. They may belong to another user.")

    def spec(self, nodes: int) -> SchedulerSpec:
        """Return the site's scheduler entry, or a generic one with a single queue."""
        if self.profile is not None:
            return self.profile.scheduler(emulated=True)
        return prompt(
            SchedulerSpec(
                kind=self.kind,
                dialect=self.dialect,
                emulated=True,
                queues=[Queue(name=self.queue, max_nodes=nodes, max_walltime="01:00:00")],
                default_queue=self.queue,
                multi_node_queue=self.queue,
                launchers=[Launcher(name=name) for name in self.launchers],
                max_jobs=200,
            )
        )

    def _cluster(self, testbed: Testbed, nodes: int, cores: int) -> dict[str, object]:
        spec, profile = testbed.scheduler, self.profile
        names = profile.nodes(nodes) if profile else [f"n{number}" for number in range(1, nodes + 1)]
        account = os.environ.get(spec.account_env) if spec.account_env else None
        resources = [text.partition("=")[0] for line in spec.directives for text in shlex.split(line) if "=" in text]
        return {
            "dialect": self.kind,
            "host": f"{profile.system.name if profile else 'emulated'}-{self.kind}",
            "nodes": [
                {"name": name, "cores": cores, "gpus": profile.system.node.gpus if profile else 0} for name in names
            ],
            "queues": queues(spec),
            "default_queue": spec.default_queue or (spec.queues[0].name if spec.queues else self.queue),
            "accounts": [account] if account else None,
            "exclusive": spec.exclusive,
            "resources": sorted({*RESOURCES, *(name.lstrip("-") for name in resources)}) if self.kind == "pbs" else [],
            "required": ["filesystems"] if self.kind == "pbs" and "filesystems" in resources else [],
        }


class LsfTestbed(EmulatedTestbed):
    """LSF as on Lassen and Summit."""

    kind = "lsf"
    dialect = Dialect.CSM
    commands = ("bsub", "bjobs", "bkill", "bstop", "bresume", "bqueues", "bhosts", "lsid")
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
    commands = ("qsub", "qstat", "qdel", "qhold", "qrls", "qselect", "pbsnodes")
    launchers = ("mpiexec",)


def program(path: Path, dialect: str) -> None:
    """Write a command of an emulator; the file name is the name of the command."""
    command = shlex.join([sys.executable, "-I", "-S", str(PROGRAM), dialect, path.name])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o700)


def _answers(folder: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            probe.connect(f"/proc/self/fd/{descriptor}/engine.sock")
        finally:
            os.close(descriptor)
        return True
    return False
