"""Processes told apart by pid and start time, so that none is ever ended in the place of another.

A pid is looked up, opened (pidfd, Linux 5.3) and only then compared with the start time on record: the signal that
follows reaches that very process or nothing. On an older kernel it is compared just before the signal.
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
    """Return the fields of /proc/PID/stat from the third on; the second, the name, may hold anything."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def identify(pid: int, name: str = "process") -> Daemon | None:
    """Return what tells the process that has this pid now from any later one, or None if there is none."""
    fields = _stat(pid)
    return Daemon(name, pid, int(fields[19])) if fields and fields[0] not in "ZX" else None


def alive(daemon: Daemon) -> bool:
    """Whether that very process still runs; one that ended and was not waited for does not."""
    found = identify(daemon.pid)
    return found is not None and found.started == daemon.started


def spawn(name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path, errors: Path) -> Daemon:
    """Start a daemon in a session of its own, holding no descriptor of ours; it outlives this process.

    What it says on stderr goes to the file ``errors``: often nothing, or why it could not even open its log.
    """
    with errors.open("wb") as said:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
    fields = _stat(process.pid)
    # From here on it is known by pid and start time alone; without a return code Popen would warn that nobody waits.
    process.returncode = 0
    return Daemon(name, process.pid, int(fields[19]))


def end(daemons: Iterable[Daemon], grace: float = 2.0) -> list[Daemon]:
    """Ask each to end, kill those that have not after ``grace`` seconds; return those that are still there."""
    left = list(daemons)
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        if sign == signal.SIGTERM and grace <= 0:
            continue
        for daemon in left:
            _send(daemon, sign)
        left = wait(left, patience)
        if not left:
            break
    return left


def wait(daemons: Iterable[Daemon], seconds: float) -> list[Daemon]:
    """Wait until all have ended or the time is up; return those that have not."""
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
        while waiting and (rest := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(rest * 1000):
                poll.unregister(descriptor)
                _bury(waiting.pop(descriptor))
        left = list(waiting.values())
    while any(map(alive, unopened)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left + [daemon for daemon in unopened if alive(daemon)]


def carrying(*entries: str) -> list[Daemon]:
    """Return the processes started with one of these ``NAME=value`` in their environment, never us or our ancestors."""
    wanted = {entry.encode() for entry in entries}
    spared = set(_line(os.getpid()))
    found = []
    for pid in _pids():
        if pid in spared:
            continue
        try:
            held = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if not wanted.isdisjoint(held):
            daemon = identify(pid, _name(pid))
            if daemon is not None:
                found.append(daemon)
    return found


def marked(prefix: str) -> list[Daemon]:
    """Return the processes whose environment has an entry that begins so, never us or our ancestors."""
    begin, spared = prefix.encode(), set(_line(os.getpid()))
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            held = (PROC / str(pid) / "environ").read_bytes()
            if pid not in spared and (held.startswith(begin) or b"\0" + begin in held):
                daemon = identify(pid, _name(pid))
                found += [daemon] if daemon is not None else []
    return found


def sharing(space: str, name: str) -> list[Daemon]:
    """Return the processes in a namespace of a kind (``mnt``) and name (``mnt:[4026532]``), never us or ancestors."""
    found, spared = [], set(_line(os.getpid()))
    for pid in _pids():
        with contextlib.suppress(OSError):
            if pid not in spared and str((PROC / str(pid) / "ns" / space).readlink()) == name:
                daemon = identify(pid, _name(pid))
                found += [daemon] if daemon is not None else []
    return found


def descendants(roots: Iterable[Daemon]) -> list[Daemon]:
    """Return everything that was started, directly or not, by these processes and still hangs below them."""
    below: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields:
            below.setdefault(int(fields[1]), []).append(pid)
    found, queue = [], [root.pid for root in roots if alive(root)]
    while queue:
        for pid in below.get(queue.pop(), ()):
            queue.append(pid)
            daemon = identify(pid, _name(pid))
            if daemon is not None:
                found.append(daemon)
    return found


def listening(ports: Iterable[int]) -> set[int]:
    """Return which of these TCP ports something on this machine listens on, without touching them."""
    wanted = set(ports)
    heard = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A":
                heard.add(int(fields[1].rpartition(":")[2], 16))
    return wanted & heard


def _open(daemon: Daemon) -> int | None:
    """Return a pidfd of that very process; None where it has ended or the kernel has no such thing."""
    try:
        descriptor = os.pidfd_open(daemon.pid)
    except OSError:
        return None
    if alive(daemon):
        return descriptor
    os.close(descriptor)
    _bury(daemon)
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


def _bury(daemon: Daemon) -> None:
    """Take the exit status of a child of ours that has ended, so that no zombie stays as long as we live."""
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


def _line(pid: int) -> Iterator[int]:
    """Yield a process and its ancestors."""
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
