"""A private, real OpenPBS: server, scheduler, communication daemon, and a MOM for every node.

Its daemons trust privileged ports and host names, so they run in namespaces of their own, with a network that no other
machine reaches, a host name, and an /etc/hosts. Each command of PBS is a wrapper that enters these namespaces and runs
the real command. This needs root, as PBS itself does. All nodes are this machine; a job learns the name of its node
from the same variable as on an emulator.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sdk_tests.emulators.client import VARIABLE
from sdk_tests.emulators.work import NODE
from sdk_tests.errors import TestbedError
from sdk_tests.schedulers.commands import find, run_command
from sdk_tests.testbeds import openpbs_conf, processes, record
from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.emulated import SHIMS, PbsTestbed, program
from sdk_tests.testbeds.site_profile import RESOURCES, queues
from site_configs.schema import SchedulerSpec

PREFIXES = ("/opt/pbs",)
COMMANDS = ("qsub", "qstat", "qdel", "qselect", "pbsnodes", "qmgr", "qhold", "qrls", "qrerun", "qalter")
TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
DATABASE_USER = "postgres"
SOCKETS = (Path("/tmp"), Path(openpbs_conf.SOCKETS))  # noqa: S108 (where PostgreSQL creates them)
LAST_QUERY = "/var/tmp/.pbs_last_query_{uid}"  # noqa: S108 (a fixed name in PBS's qstat, which leaves this empty file)
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"
_START_TIMEOUT = 60.0
_DATABASE_STOP = 10.0
_HOME_TIMEOUT = 180.0
_HOME_TRIES = 3
_DATABASE_FAILED = ("Error creating PBS datastore", "Error starting PBS Data Service")
"""What ``pbs_habitat`` prints if its database did not answer in time."""


def installed() -> Path | None:
    """Return the prefix of OpenPBS: ``$PBS_EXEC``, that of ``pbs_server`` on PATH, or that of its packages."""
    named = os.environ.get("PBS_EXEC")
    server = find("pbs_server", os.environ)
    roots = (
        [Path(named)] if named else [*([Path(server).resolve().parent.parent] if server else []), *map(Path, PREFIXES)]
    )
    needed = ("sbin/pbs_server.bin", "sbin/pbs_mom", "sbin/pbs_sched", "sbin/pbs_comm", "libexec/pbs_habitat")
    return next((root for root in roots if all((root / name).exists() for name in needed)), None)


class OpenPbsTestbed(TestbedKind):
    """Starts and stops a real PBS."""

    kind = "pbs"

    def absent(self) -> str | None:
        if installed() is None:
            return "pbs_server: not in $PBS_EXEC, on PATH or in /opt/pbs; install OpenPBS"
        if os.geteuid() != 0:
            return "OpenPBS needs root, because it runs in namespaces of its own"
        for name, package in TOOLS.items():
            if find(name, os.environ, *_SYSTEM.split(":")) is None:
                return f"{name}: not on PATH; install {package}"
        try:
            pwd.getpwnam(DATABASE_USER)
        except KeyError:
            return f"OpenPBS stores its jobs in PostgreSQL, but there is no user {DATABASE_USER}; install postgresql"
        return None

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        root = installed()
        if root is None:
            raise TestbedError(f"no OpenPBS here: {self.absent()}")
        me = processes.identify(os.getpid())
        assert me is not None
        cores = (self.profile.cores if self.profile else None) or cores
        # PBS refuses a home below a world-writable folder; its database refuses one that only root may enter.
        # Job scripts, sockets and temporary files are below it, so the path is short.
        base = Path("/run") / f"exaworks-{folder.name}"
        bin_folder = folder / "bin"
        names = self.profile.nodes(nodes) if self.profile else [f"n{number}" for number in range(1, nodes + 1)]
        testbed = Testbed(
            id=folder.name,
            kind=self.kind,
            folder=folder,
            env={
                VARIABLE: str(folder),
                "PBS_CONF_FILE": str(base / "pbs.conf"),
                "PATH+": f"{folder / SHIMS}{os.pathsep}{bin_folder}",
            },
            scheduler=self._spec(nodes),
            owner=owner,
            nodes=nodes,
            version=_version(root),
            extras={
                **record.initial_extras(me),
                "base": str(base),
                "cores": str(cores),
                "root": str(root),
                "nodes": " ".join(names),
            },
        )
        record.write(testbed)
        try:
            _folders(testbed, base, names)
            _write(testbed, base, root, names)
        except OSError as error:
            raise TestbedError(
                f"cannot write the folders of the testbed, {folder} and {base}: {error.strerror}"
            ) from error
        testbed = _enter(testbed, base, names)
        for name in COMMANDS:
            _wrapper(bin_folder / name, testbed, str(root / "bin" / name))
        for launcher in PbsTestbed.launchers:
            program(bin_folder / launcher, "launchers")
        testbed = self._daemons(testbed, base, root, names)
        self._configure(testbed, base, names, cores)
        _wait_until_free(testbed, names)
        extras = {key: value for key, value in testbed.extras.items() if key != "maker"} | {"state": record.UP}
        testbed = replace(testbed, extras=extras)
        record.write(testbed)
        return testbed

    def down(self, testbed: Testbed) -> None:
        base = Path(testbed.extras["base"])
        space = testbed.extras.get("namespace")
        ours = any(map(processes.alive, testbed.daemons))  # otherwise the number of the namespace may be in use again
        holder = [daemon for daemon in testbed.daemons if daemon.name == "namespaces"]
        survivors: list[Daemon] = []
        for _ in range(5):  # processes that are started meanwhile are ended in the next round
            inhabitants = processes.in_namespace("mnt", space) if space and ours else []
            running = [*inhabitants, *filter(processes.alive, testbed.daemons)]
            running = [one for one in running if all(one.pid != daemon.pid for daemon in holder)]
            database = [one for one in running if one.name == "postgres"]
            survivors = processes.end([one for one in running if one not in database], grace=0.0)
            survivors += processes.end(database, grace=_DATABASE_STOP)  # without its clients it stops by itself
            if not running:
                break
        survivors += processes.end(holder, grace=0.0)  # last, because an interrupted stop finds the namespaces by it
        if survivors:
            names = ", ".join(f"{daemon.name} ({daemon.pid})" for daemon in survivors)
            raise TestbedError(f"testbed {testbed.id}: could not end {names}")
        for folder in SOCKETS:
            for path in folder.glob(f".s.PGSQL.{openpbs_conf.database_port(base)}*"):
                path.unlink(missing_ok=True)
        Path(LAST_QUERY.format(uid=os.getuid())).unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)

    def _spec(self, nodes: int) -> SchedulerSpec:
        if self.profile is not None:
            return self.profile.scheduler(emulated=False)
        from msgspec.structs import replace as with_changes

        return with_changes(PbsTestbed().spec(nodes), emulated=False)

    def _daemons(self, testbed: Testbed, base: Path, root: Path, names: Sequence[str]) -> Testbed:
        """Create the home of PBS with its own program, and start the daemons in the required order."""
        create_home(testbed, base, root)
        testbed = start(testbed, "pbs_comm", [str(root / "sbin" / "pbs_comm"), "-N"])
        testbed = start(testbed, "pbs_server", [str(root / "sbin" / "pbs_server"), "-N"])
        testbed = start(testbed, "pbs_sched", [str(root / "sbin" / "pbs_sched"), "-N"])
        for name in names:
            testbed = start_mom(testbed, name)
        return testbed

    def _configure(self, testbed: Testbed, base: Path, names: Sequence[str], cores: int) -> None:
        spec, profile = testbed.scheduler, self.profile
        account = os.environ.get(spec.account_env) if spec.account_env else None
        resources = [text.partition("=")[0] for line in spec.directives for text in shlex.split(line) if "=" in text]
        required = ["filesystems"] if "filesystems" in resources else []
        limits = queues(spec)
        default = spec.default_queue or limits[0]["name"]
        _wait_until(lambda: manage(testbed, "list server").returncode == 0, "pbs_server", base)
        for name in {*RESOURCES, *(name.lstrip("-") for name in resources)}:
            manage(testbed, f"create resource {name} type = string")  # refused if PBS itself has this resource
        gpus = profile.system.node.gpus if profile else 0
        lines = list(openpbs_conf.commands(names, cores, gpus, limits, default, ()))
        text = openpbs_conf.hook([account] if account else None, required, limits, default)
        hooks = {
            "rules": ("queuejob", text),
            "launch": ("execjob_launch", openpbs_conf.launch(base, inside(testbed)[0])),
        }
        for hook, (event, source) in hooks.items():
            (base / f"{hook}.py").write_text(source)
            lines += [f"create hook {hook} event = {event}"]
            lines += [f"import hook {hook} application/x-python default {base}/{hook}.py"]
        done = manage(testbed, "\n".join(lines))
        if done.returncode != 0:
            raise TestbedError(f"qmgr: exit {done.returncode}: {done.stderr.strip()}")


def create_home(testbed: Testbed, base: Path, root: Path) -> None:
    """Run ``pbs_habitat``, which creates the home of PBS and its database.

    It starts PostgreSQL and uses it as soon as the process is there. On a busy machine the database may not accept
    connections by then; ``pbs_habitat`` removes it and fails, and is run again.

    Raises:
        TestbedError: it failed ``_HOME_TRIES`` times, or for another reason; the message has its last lines.
    """
    outputs = []
    for number in range(1, _HOME_TRIES + 1):
        try:
            done = subprocess.run(
                [*inside(testbed), str(root / "libexec" / "pbs_habitat")],
                env=environ(testbed),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_HOME_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TestbedError(
                f"pbs_habitat did not end within {_HOME_TIMEOUT:g} s: this machine is too busy"
            ) from None
        outputs.append(done.stdout + done.stderr)
        (base / "log" / "habitat.log").write_text("\n".join(outputs))
        if done.returncode == 0:
            return
        if number == _HOME_TRIES or not any(text in done.stdout for text in _DATABASE_FAILED):
            output = (done.stdout.strip() or done.stderr.strip()).splitlines()
            reason = "; ".join(output[-4:]) or "no output"  # the cause is before the last line
            raise TestbedError(f"pbs_habitat: exit {done.returncode}: {reason}")
        shutil.rmtree(base / "home" / "datastore", ignore_errors=True)


def inside(testbed: Testbed) -> list[str]:
    """Return the prefix of a command that is to run in the namespaces of the daemons."""
    holder = next(daemon for daemon in testbed.daemons if daemon.name == "namespaces")
    spaces = [f"--{option}=/proc/{holder.pid}/ns/{name}" for option, name in _SPACES]
    return [find("nsenter", os.environ, "/usr/bin") or "nsenter", *spaces, "--"]


_SPACES = (("mount", "mnt"), ("uts", "uts"), ("net", "net"), ("ipc", "ipc"))


def environ(testbed: Testbed) -> dict[str, str]:
    """Return the environment of the daemons of PBS; only PATH comes from ours."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), _SYSTEM))
    temporary = str(Path(testbed.extras["base"]) / openpbs_conf.TEMPORARY)
    conf = testbed.env["PBS_CONF_FILE"]
    return {"PATH": path, "HOME": "/root", "LC_ALL": "C", "PBS_CONF_FILE": conf, "TMPDIR": temporary}


def start(testbed: Testbed, name: str, argv: Sequence[str], **more: str) -> Testbed:
    """Start a daemon in the namespaces and return the testbed with it; it replaces a daemon of the same name."""
    base = Path(testbed.extras["base"])
    env = {**environ(testbed), **more}
    daemon = processes.spawn(name, [*inside(testbed), *argv], env, base, base / "log" / f"{name}.err")
    others = tuple(one for one in testbed.daemons if one.name != name)
    testbed = replace(testbed, daemons=(*others, daemon))
    record.write(testbed)
    return testbed


def start_mom(testbed: Testbed, name: str) -> Testbed:
    """Start the MOM of a node."""
    port = openpbs_conf.mom_port(1 + testbed.extras["nodes"].split().index(name))
    argv = [f"{testbed.extras['root']}/sbin/pbs_mom", "-N", "-M", str(port), "-R", str(port + 1)]
    home = f"{testbed.extras['base']}/{name}"
    more = {"PBS_MOM_NODE_NAME": name, "PBS_MOM_HOME": home, "PBS_LEAF_NAME": name}
    more["PBS_ENVIRONMENT"] = f"{home}/pbs_environment"
    return start(testbed, f"pbs_mom-{name}", [*argv, "-d", home], **more)


def manage(testbed: Testbed, lines: str) -> subprocess.CompletedProcess[str]:
    """Run qmgr(8B) with these lines as its input."""
    argv = [*inside(testbed), f"{testbed.extras['root']}/bin/qmgr"]
    return subprocess.run(
        argv, env=environ(testbed), input=lines + "\n", capture_output=True, text=True, timeout=60, check=False
    )


def _version(root: Path) -> str | None:
    output = run_command([str(root / "bin" / "qstat"), "--version"], os.environ).stdout
    return output.partition("=")[2].strip() or None


def _folders(testbed: Testbed, base: Path, names: Sequence[str]) -> None:
    for folder in (testbed.folder / "bin", testbed.folder / SHIMS):
        folder.mkdir(mode=0o700)
    for folder in (base, base / "log", *(base / name for name in names)):
        folder.mkdir(mode=0o755)
    (base / openpbs_conf.TEMPORARY).mkdir()
    (base / openpbs_conf.TEMPORARY).chmod(0o1777)
    (base / "sockets").mkdir(mode=0o700)
    shutil.chown(base / "sockets", DATABASE_USER)
    for name in names:
        for below, mode in openpbs_conf.MOM_FOLDERS.items():
            folder = base / name / below
            folder.mkdir()
            folder.chmod(mode)


def _write(testbed: Testbed, base: Path, root: Path, names: Sequence[str]) -> None:
    flags = {launcher.name: list(launcher.flags) for launcher in testbed.scheduler.launchers}
    (testbed.folder / "launchers.json").write_text(json.dumps(flags))
    (base / "pbs.conf").write_text(openpbs_conf.configuration(root, base))
    (base / "hosts").write_text(openpbs_conf.hosts(base, names, Path("/etc/hosts").read_text()))
    for name in names:
        (base / name / "mom_priv" / "config").write_text(openpbs_conf.mom_config(base, name))
        (base / name / "pbs_environment").write_text(f"PATH=/usr/local/bin:/usr/bin:/bin\n{NODE}={name}\n")


def _enter(testbed: Testbed, base: Path, names: Sequence[str]) -> Testbed:
    """Create the namespaces; one process keeps them open as long as the testbed exists."""
    unshare = find("unshare", os.environ, "/usr/bin") or "unshare"
    argv = [unshare, "--mount", "--uts", "--net", "--ipc", "sh", "-c", openpbs_conf.setup(base, names, os.getpid())]
    holder = processes.spawn("namespaces", argv, environ(testbed), base, base / "log" / "namespaces.err")
    testbed = replace(testbed, daemons=(holder,))
    record.write(testbed)
    _wait_until((base / "ready").exists, "namespaces", base, lambda: processes.alive(holder))
    space = str(Path(f"/proc/{holder.pid}/ns/mnt").readlink())
    testbed = replace(testbed, extras={**testbed.extras, "namespace": space})
    record.write(testbed)
    return testbed


def _wrapper(path: Path, testbed: Testbed, real: str) -> None:
    prefix = inside(testbed)
    line = f'{shlex.join(prefix[:-1])} --wdns="$PWD" -- {shlex.quote(real)} "$@"'
    conf = shlex.quote(testbed.env["PBS_CONF_FILE"])
    # qsub leaves a socket in the temporary folder, or in /var/tmp if the name of that folder is long.
    temporary = shlex.quote(str(Path(testbed.extras["base"]) / openpbs_conf.TEMPORARY))
    variables = f"PBS_CONF_FILE={conf}\nPBS_TMPDIR={temporary}\nexport PBS_CONF_FILE PBS_TMPDIR\n"
    path.write_text(f"#!/bin/sh\n{variables}exec {line}\n")
    path.chmod(0o700)


def _wait_until_free(testbed: Testbed, names: Sequence[str]) -> None:
    def free() -> bool:
        nodes = run_command([*inside(testbed), f"{testbed.extras['root']}/bin/pbsnodes", "-a"], environ(testbed))
        return nodes.stdout.count("state = free") == len(names)

    _wait_until(free, "pbs_mom", Path(testbed.extras["base"]))


def _wait_until(ready: Callable[[], bool], name: str, base: Path, alive: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not ready():
        if time.monotonic() > deadline or not alive():
            logs = sorted((base / "log").glob(f"{name}*.err"))
            output = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
            raise TestbedError(f"OpenPBS did not start: {name}: {output[-1] if output else 'no output'}")
        time.sleep(0.05)
