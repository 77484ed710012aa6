"""Processes identified by pid and start time, so that no other process is ever ended by mistake.

A process is opened by its pid (pidfd, Linux 5.3) and then compared with the recorded start time, so the signal that
follows reaches this process or none. On an older kernel the start time is compared just before the signal.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sdk_tests.testbeds.base import Daemon

PROC = Path("/proc")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on; the second one, the name, may contain any character."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def identify(pid: int, name: str = "process") -> Daemon | None:
    """Return the process that has this pid now, with its start time; None if there is none."""
    fields = _stat(pid)
    return Daemon(name, pid, int(fields[19])) if fields and fields[0] not in "ZX" else None


def alive(daemon: Daemon) -> bool:
    """Return whether this process still runs; a zombie does not."""
    current = identify(daemon.pid)
    return current is not None and current.started == daemon.started


def spawn(name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path, errors: Path) -> Daemon:
    """Start a daemon in its own session, without our file descriptors; it outlives this process.

    Its stderr goes to the file ``errors``, which usually stays empty or states why it could not open its log.
    """
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    fields = _stat(process.pid)
    # From here on only pid and start time are used; without a return code Popen would warn that nobody waits for it.
    process.returncode = 0
    return Daemon(name, process.pid, int(fields[19]))


def end(daemons: Iterable[Daemon], grace: float = 2.0) -> list[Daemon]:
    """Send SIGTERM, after ``grace`` seconds SIGKILL to those that still run; return those that could not be ended."""
    running = list(daemons)
    for sign, timeout in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        if sign == signal.SIGTERM and grace <= 0:
            continue
        for daemon in running:
            _send(daemon, sign)
        running = wait(running, timeout)
        if not running:
            break
    return running


def wait(daemons: Iterable[Daemon], seconds: float) -> list[Daemon]:
    """Wait until all have ended or ``seconds`` have passed; return those that still run."""
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as opened:
        poll = select.poll()
        waiting: dict[int, Daemon] = {}
        unopened = []
        for daemon in daemons:
            descriptor = _open(daemon)
            if descriptor is None:
                unopened.append(daemon)
            else:
                opened.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
                waiting[descriptor] = daemon
        while waiting and (remaining := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(remaining * 1000):
                poll.unregister(descriptor)
                _collect(waiting.pop(descriptor))
        running = list(waiting.values())
    while any(map(alive, unopened)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return running + [daemon for daemon in unopened if alive(daemon)]


def with_variable(*entries: str) -> list[Daemon]:
    """Return the processes with one of these ``NAME=value`` in their environment, except us and our ancestors."""
    wanted = {entry.encode() for entry in entries}
    excluded = set(_ancestry(os.getpid()))
    matches = []
    for pid in _pids():
        if pid in excluded:
            continue
        try:
            environ = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if not wanted.isdisjoint(environ):
            daemon = identify(pid, _name(pid))
            if daemon is not None:
                matches.append(daemon)
    return matches


def with_variable_prefix(prefix: str) -> list[Daemon]:
    """Return the processes with an environment entry that begins with ``prefix``, except us and our ancestors."""
    begin, excluded = prefix.encode(), set(_ancestry(os.getpid()))
    matches: list[Daemon] = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            environ = (PROC / str(pid) / "environ").read_bytes()
            if pid not in excluded and (environ.startswith(begin) or b"\0" + begin in environ):
                daemon = identify(pid, _name(pid))
                matches += [daemon] if daemon is not None else []
    return matches


def in_namespace(space: str, name: str) -> list[Daemon]:
    """Return the processes in a namespace, such as ``mnt`` and ``mnt:[4026532]``, except us and our ancestors."""
    matches: list[Daemon] = []
    excluded = set(_ancestry(os.getpid()))
    for pid in _pids():
        with contextlib.suppress(OSError):
            if pid not in excluded and str((PROC / str(pid) / "ns" / space).readlink()) == name:
                daemon = identify(pid, _name(pid))
                matches += [daemon] if daemon is not None else []
    return matches


def descendants(roots: Iterable[Daemon]) -> list[Daemon]:
    """Return all descendants of these processes."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
    matches, queue = [], [root.pid for root in roots if alive(root)]
    while queue:
        for pid in children.get(queue.pop(), ()):
            queue.append(pid)
            daemon = identify(pid, _name(pid))
            if daemon is not None:
                matches.append(daemon)
    return matches


def listening(ports: Iterable[int]) -> set[int]:
    """Return which of these TCP ports have a listener on this machine, without connecting to them."""
    wanted = set(ports)
    listened = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A":
                listened.add(int(fields[1].rpartition(":")[2], 16))
    return wanted & listened


def _open(daemon: Daemon) -> int | None:
    """Return a pidfd of this process; None if it has ended or the kernel has no pidfds."""
    try:
        descriptor = os.pidfd_open(daemon.pid)
    except OSError:
        return None
    if alive(daemon):
        return descriptor
    os.close(descriptor)
    _collect(daemon)
    return None


def _send(daemon: Daemon, sign: signal.Signals) -> None:
    descriptor = _open(daemon)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if descriptor is not None:
            try:
                signal.pidfd_send_signal(descriptor, sign)
            finally:
                os.close(descriptor)
        elif alive(daemon):
            os.kill(daemon.pid, sign)


def _collect(daemon: Daemon) -> None:
    """Collect the exit status of an ended child process, so that it does not stay as a zombie."""
    fields = _stat(daemon.pid)
    if fields and fields[0] == "Z" and int(fields[1]) == os.getpid() and int(fields[19]) == daemon.started:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(daemon.pid, os.WNOHANG)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"


def _ancestry(pid: int) -> Iterator[int]:
    """Yield the pids of a process and its ancestors."""
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
