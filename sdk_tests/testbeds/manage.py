"""Testbeds by name: start one, load it, stop it, and remove what a crash left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import processes, record
from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.site_profile import SiteProfile
from site_configs.schema import LocalUse, Node, System

CORES = 8
"""Default number of CPUs that a node claims to have; it may exceed the number of the host."""
_EMPTY_FOR = 60.0
"""Seconds after which a folder without testbed.json counts as left behind by a crash."""
_LOGS_FOR = 7 * 86400.0


def kinds() -> dict[str, type[TestbedKind]]:
    """Return every kind of testbed that an installed package provides."""
    return {point.name: point.load() for point in entry_points(group="exaworks.testbeds")}


def kind_of(name: str) -> TestbedKind:
    """Return a kind by name.

    Raises:
        TestbedError: there is no such kind.
    """
    known = kinds()
    if name not in known:
        raise TestbedError(f"there is no kind of testbed {name!r}; known kinds: {', '.join(sorted(known)) or 'none'}")
    return known[name]()


def up(
    kind: str,
    home: Path,
    *,
    nodes: int = 2,
    cores: int = CORES,
    owner_pid: int | None = None,
    profile: SiteProfile | None = None,
) -> Testbed:
    """Start a testbed and return when its nodes are idle.

    owner_pid: the process that the testbed is for; once that process is gone, the next ``reap`` stops the testbed. None
    keeps it until ``down``. profile: the system from which it takes its nodes, queues and limits.

    Raises:
        TestbedError: this machine cannot have it, or it did not start; its processes are ended and its logs kept.
    """
    if nodes < 1 or cores < 1:
        raise TestbedError(f"a testbed needs at least one node and one core, not {nodes} and {cores}")
    testbed_kind = kind_of(kind)
    testbed_kind.profile = profile
    reason = testbed_kind.absent()
    if reason:
        raise TestbedError(f"no {kind} testbed here: {reason}")
    owner = None
    if owner_pid is not None:
        owner = processes.identify(owner_pid, "owner")
        if owner is None:
            raise TestbedError(f"process {owner_pid}, the owner of the new testbed, does not exist")
    reap(home)
    folder = home / "testbeds" / f"{kind}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise TestbedError(
            f"cannot create {folder}: {error.strerror}. Set EXAWORKS_HOME to a writable folder."
        ) from error
    try:
        testbed = testbed_kind.up(folder, nodes, cores, owner)
        (folder / "system.yaml").write_text(_site_file(testbed, cores))
    except BaseException as error:
        with _signals_delayed():
            kept = _keep_logs(folder)
            _clear(folder, testbed_kind)
        if isinstance(error, TestbedError) and kept is not None:
            raise TestbedError(f"{error.message}. Logs: {kept}") from error
        raise
    return testbed


def load(home: Path, id: str) -> Testbed:
    """Return a testbed by name.

    Raises:
        TestbedError: there is no such testbed.
    """
    folder = home / "testbeds" / id
    try:
        if folder.parent != home / "testbeds":
            raise FileNotFoundError
        return record.read(folder)
    except FileNotFoundError:
        known = ", ".join(one.id for one in all_testbeds(home)) or "none"
        raise TestbedError(f"there is no testbed {id!r} in {home / 'testbeds'}; known testbeds: {known}") from None


def all_testbeds(home: Path) -> list[Testbed]:
    """Return every testbed with a readable record, oldest first; nothing is checked or changed."""
    testbeds = []
    for folder in _folders(home):
        with contextlib.suppress(TestbedError, FileNotFoundError):
            testbeds.append(record.read(folder))
    return testbeds


def down(home: Path, id: str) -> None:
    """Stop a testbed: end its jobs and daemons and remove its folder. Two processes may do this at the same time.

    Raises:
        TestbedError: there is no such testbed, it runs on another host, or one of its processes could not be ended.
    """
    testbed = load(home, id)
    with _signals_delayed():
        _clear(testbed.folder, kind_of(testbed.kind))


def reap(home: Path) -> list[str]:
    """Stop testbeds without their owner, half started, or without any daemon, and return their names."""
    reaped = []
    for folder in _folders(home):
        try:
            testbed = record.read(folder)
        except FileNotFoundError:
            if _age(folder) > _EMPTY_FOR:
                shutil.rmtree(folder, ignore_errors=True)
                reaped.append(folder.name)
            continue
        except TestbedError:
            continue  # unreadable, perhaps written by a later version; ``load`` reports it
        if testbed.kind in kinds() and _abandoned(testbed):
            with _signals_delayed():
                _clear(folder, kind_of(testbed.kind))
            reaped.append(testbed.id)
    for log in (home / "testbeds").glob("*.log"):
        if _age(log) > _LOGS_FOR:
            log.unlink(missing_ok=True)
    return reaped


def alive(testbed: Testbed) -> bool:
    """Return whether the testbed is up on this host and all its daemons run."""
    return (
        record.location(testbed) == record.HERE
        and record.state(testbed) == record.UP
        and all(map(processes.alive, testbed.daemons))
    )


def state(testbed: Testbed) -> str:
    """Return the state of a testbed: ``up``, ``starting``, ``damaged`` (a daemon is gone), or ``elsewhere``."""
    if record.location(testbed) != record.HERE:
        return record.ELSEWHERE
    if record.state(testbed) == record.STARTING:
        return record.STARTING
    return record.UP if alive(testbed) else "damaged"


def environment(testbed: Testbed, base: Mapping[str, str]) -> dict[str, str]:
    """Return ``base`` with the variables that the commands of the testbed need; additions to PATH come first."""
    variables = dict(base)
    for name, value in testbed.variables.items():
        if name.endswith("+"):
            name = name[:-1]
            value = os.pathsep.join(part for part in (value, variables.get(name)) if part)
        variables[name] = value
    return variables


def _folders(home: Path) -> list[Path]:
    try:
        return sorted((one for one in (home / "testbeds").iterdir() if one.is_dir()), key=lambda one: (-_age(one), one))
    except FileNotFoundError:
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _abandoned(testbed: Testbed) -> bool:
    if record.location(testbed) != record.HERE:
        return record.location(testbed) == record.REBOOTED
    if record.state(testbed) == record.STARTING:
        creator: Daemon | None = record.creator(testbed)
        return creator is None or not processes.alive(creator)
    if testbed.owner is not None and not processes.alive(testbed.owner):
        return True
    return not any(map(processes.alive, testbed.daemons))


def _clear(folder: Path, kind: TestbedKind) -> None:
    """End the processes and remove the folder; the record goes last, so that this can be repeated after a crash."""
    try:
        testbed = record.read(folder)
    except FileNotFoundError:
        testbed = None
    if testbed is not None:
        if record.location(testbed) == record.ELSEWHERE:
            host = testbed.extras.get("host", "another host")
            raise TestbedError(f"testbed {testbed.id} runs on {host} or in a container there. Stop it from there.")
        kind.down(testbed if record.location(testbed) == record.HERE else replace(testbed, daemons=()))
        with contextlib.suppress(FileNotFoundError):  # another process may be doing the same
            for entry in list(folder.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.name != record.FILE:
                    entry.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(folder: Path) -> Path | None:
    """Copy the logs of the daemons into one file beside the folder that is about to be removed."""
    try:
        base = Path(record.read(folder).extras.get("base", folder))
    except (FileNotFoundError, TestbedError):
        return None
    logs = sorted((base / "log").glob("*.err")) + sorted((base / "log").glob("*.log"))
    if not logs:
        return None
    parts = [f"==> {log.name} <==\n{text}" for log in logs if (text := log.read_text(errors="replace"))]
    kept = folder.with_name(folder.name + ".log")
    kept.write_text("\n".join(parts))
    kept.chmod(0o600)
    return kept


@contextlib.contextmanager
def _signals_delayed() -> Iterator[None]:
    """Delay SIGINT, SIGTERM and SIGHUP in this thread until cleaning up is finished, which takes a few seconds."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _site_file(testbed: Testbed, cores: int) -> str:
    """Return a valid site file whose only scheduler is this testbed."""
    system = System(
        system=f"local/{testbed.id}",
        description=f"Throw-away {testbed.kind} of {testbed.nodes} nodes on this machine",
        schedulers=[testbed.scheduler],
        local=LocalUse(allowed=True, cores=os.cpu_count() or 2),
        node=Node(cores=cores, usable_cores=cores, architecture=os.uname().machine),
    )
    text = StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(_without_defaults(system), text)
    return text.getvalue()


def _without_defaults(value: Any) -> Any:
    """Return a model as plain data without fields that have their default value."""
    if isinstance(value, list):
        return [_without_defaults(item) for item in value]
    if not isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    data = {}
    for field in msgspec.structs.fields(value):
        field_value = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field_value != default:
            data[field.name] = _without_defaults(field_value)
    return data
