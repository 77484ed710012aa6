"""Testbeds by name: bring one up, find it again, take it down, and clear away what a crash has left."""

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
from sdk_tests.testbeds.likeness import Likeness
from site_configs.schema import LocalUse, Node, System

CORES = 8
"""CPUs a node claims to have where nobody says otherwise; more than the host's are allowed."""
_EMPTY_FOR = 60.0
"""Seconds after which a folder without testbed.json was left by a crash, not about to get one."""
_LOGS_FOR = 7 * 86400.0


def kinds() -> dict[str, type[TestbedKind]]:
    """Return every kind of testbed that an installed package offers."""
    return {point.name: point.load() for point in entry_points(group="exaworks.testbeds")}


def kind_of(name: str) -> TestbedKind:
    """Return a kind by name.

    Raises:
        TestbedError: there is no such kind.
    """
    known = kinds()
    if name not in known:
        raise TestbedError(f"no kind of testbed is called {name!r}; there is {', '.join(sorted(known)) or 'none'}")
    return known[name]()


def up(
    kind: str,
    home: Path,
    *,
    nodes: int = 2,
    cores: int = CORES,
    owner_pid: int | None = None,
    like: Likeness | None = None,
) -> Testbed:
    """Bring a testbed up and return when its nodes are idle.

    owner_pid: the process it is for; once that is gone, the next ``reap`` takes the testbed down. None keeps it until
    ``down``. like: the system it takes its nodes, queues and limits from.

    Raises:
        TestbedError: it cannot be had here, or did not come up; what had started is gone again, the log is kept.
    """
    if nodes < 1 or cores < 1:
        raise TestbedError(f"a testbed needs at least one node and one core, not {nodes} and {cores}")
    maker = kind_of(kind)
    maker.like = like
    reason = maker.absent()
    if reason:
        raise TestbedError(f"no {kind} testbed here: {reason}")
    owner = None
    if owner_pid is not None:
        owner = processes.identify(owner_pid, "owner")
        if owner is None:
            raise TestbedError(f"process {owner_pid}, for which a testbed was asked, is gone")
    reap(home)
    folder = home / "testbeds" / f"{kind}-{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise TestbedError(
            f"cannot make {folder}: {error.strerror}. Set EXAWORKS_HOME to a writable folder."
        ) from error
    try:
        made = maker.up(folder, nodes, cores, owner)
        (folder / "system.yaml").write_text(_site_file(made, cores))
    except BaseException as error:
        with _undisturbed():
            kept = _keep_logs(folder)
            _clear(folder, maker)
        if isinstance(error, TestbedError) and kept is not None:
            raise TestbedError(f"{error.message}. Logs: {kept}") from error
        raise
    return made


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
        raise TestbedError(f"no testbed is called {id!r} in {home / 'testbeds'}; there is {known}") from None


def all_testbeds(home: Path) -> list[Testbed]:
    """Return every testbed that has a readable record, oldest first; nothing is checked or changed."""
    found = []
    for folder in _folders(home):
        with contextlib.suppress(TestbedError, FileNotFoundError):
            found.append(record.read(folder))
    return found


def down(home: Path, id: str) -> None:
    """Take a testbed down: its jobs, its daemons, its folder. Safe to call twice and from two processes at once.

    Raises:
        TestbedError: there is no such testbed, it runs on another host, or a process of it could not be ended.
    """
    testbed = load(home, id)
    with _undisturbed():
        _clear(testbed.folder, kind_of(testbed.kind))


def reap(home: Path) -> list[str]:
    """Take down what a crash left: no owner any more, half made, or no daemon alive. Return the names."""
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
            continue  # unreadable, perhaps of a later version: whoever asks for it by name is told
        if testbed.kind in kinds() and _abandoned(testbed):
            with _undisturbed():
                _clear(folder, kind_of(testbed.kind))
            reaped.append(testbed.id)
    for log in (home / "testbeds").glob("*.log"):
        if _age(log) > _LOGS_FOR:
            log.unlink(missing_ok=True)
    return reaped


def alive(testbed: Testbed) -> bool:
    """Whether it is up and all its daemons run, on this host."""
    return (
        record.standing(testbed) == record.HERE
        and record.state(testbed) == record.UP
        and all(map(processes.alive, testbed.daemons))
    )


def state(testbed: Testbed) -> str:
    """Say in a word how it stands: ``up``, ``starting``, ``damaged`` (a daemon is gone), or ``elsewhere``."""
    if record.standing(testbed) != record.HERE:
        return record.ELSEWHERE
    if record.state(testbed) == record.STARTING:
        return record.STARTING
    return record.UP if alive(testbed) else "damaged"


def environment(testbed: Testbed, base: Mapping[str, str]) -> dict[str, str]:
    """Return ``base`` with what the testbed's commands need; its PATH additions come first."""
    found = dict(base)
    for name, value in testbed.variables.items():
        if name.endswith("+"):
            name = name[:-1]
            value = os.pathsep.join(part for part in (value, found.get(name)) if part)
        found[name] = value
    return found


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
    if record.standing(testbed) != record.HERE:
        return record.standing(testbed) == record.REBOOTED
    if record.state(testbed) == record.STARTING:
        maker: Daemon | None = record.maker(testbed)
        return maker is None or not processes.alive(maker)
    if testbed.owner is not None and not processes.alive(testbed.owner):
        return True
    return not any(map(processes.alive, testbed.daemons))


def _clear(folder: Path, kind: TestbedKind) -> None:
    """End what runs and remove the folder; the record goes last, so that a crash here can be made good."""
    try:
        testbed = record.read(folder)
    except FileNotFoundError:
        testbed = None
    if testbed is not None:
        if record.standing(testbed) == record.ELSEWHERE:
            where = testbed.extras.get("host", "another host")
            raise TestbedError(f"testbed {testbed.id} runs on {where} or in a container there: take it down from there")
        kind.down(testbed if record.standing(testbed) == record.HERE else replace(testbed, daemons=()))
        with contextlib.suppress(FileNotFoundError):  # another process may be doing the same
            for entry in list(folder.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.name != record.FILE:
                    entry.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(folder: Path) -> Path | None:
    """Put the daemons' logs beside the folder that is about to go, as one file, for whoever reads the error."""
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
def _undisturbed() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM (in this thread) until the taking down is through: it takes a few seconds at most."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _site_file(testbed: Testbed, cores: int) -> str:
    """Return a valid site file with this testbed as its only scheduler."""
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
    writer.dump(_shown(system), text)
    return text.getvalue()


def _shown(value: Any) -> Any:
    """Return a model as plain data without what is left at its default, as a person would write it."""
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if not isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    shown = {}
    for field in msgspec.structs.fields(value):
        given = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if given != default:
            shown[field.name] = _shown(given)
    return shown
