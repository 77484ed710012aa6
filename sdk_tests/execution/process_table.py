"""A table of child processes on one thread: bounded output, hard time limits, and no orphan when a child ends.

Standard library only, since the agent inside an allocation uses it too. Every child leads a session of its own. When a
child ends, the rest of its process group is killed before the leader is reaped, so that the group's id cannot belong to
another process yet. Descendants in sessions of their own (daemons, pilot agents) become children of this process
(PR_SET_CHILD_SUBREAPER of prctl(2)) and are found by the value of ``MARK`` in their environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdk_tests.execution.marked_processes import (
    MARK,
    belongs,
    name_of,
    remove_shared_memory,
    shared_memory,
    starvation,
)
from sdk_tests.model.shell_level import in_a_shell

GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
STDOUT_CAP = 1 << 20
"""Bytes of standard output kept from the start: an answer is one line."""
STDERR_CAP = 64 << 10
"""Bytes of standard error kept from the end."""

KILLED = re.compile(rb"SIGKILL|signal:? 9\b|-9\b|\b[Kk]illed\b|\bLost\b|\blost\b|WorkerLost|ManagerLost|\bdied\b")
"""What programs print if one of their processes was killed."""

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class ProcessEnd:
    """How a child ended. Times are seconds since the epoch.

    ending: ``exited``, ``timeout``, ``unstarted``, or what ``cancel`` was called with. stdout: its first ``STDOUT_CAP``
    bytes of ``stdout_bytes`` in total; stderr: its last ``STDERR_CAP`` bytes.
    """

    key: str
    ending: str
    exit_code: int | None
    signal: int | None
    stdout: bytes
    stdout_bytes: int
    stderr: bytes
    started: float
    ended: float
    orphan_processes: tuple[str, ...] = ()
    detail: str = ""
    starved: float = 0.0
    """For a timeout: the share of its time for which one of its threads could have run and had no core."""


@dataclass
class _Child:
    key: str
    popen: subprocess.Popen[bytes]
    mark: str | None
    cwd: str
    done: Callable[[ProcessEnd], None]
    started: float
    deadline: float | None
    stdout: bytearray = field(default_factory=bytearray)
    stdout_bytes: int = 0
    stderr: bytearray = field(default_factory=bytearray)
    ending: str = "exited"
    starved: float = 0.0
    kill_at: float | None = None
    oom_kills: int = 0
    """How many processes the kernel had killed for lack of memory when this one started."""
    shared_memory: set[int] = field(default_factory=set)


class ProcessTable:
    """Runs children and calls back as each ends; everything happens inside ``poll``."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._failed: list[tuple[Callable[[ProcessEnd], None], ProcessEnd]] = []
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wake = read
        self.selector.register(read, selectors.EVENT_READ, self._drain_wake)
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __len__(self) -> int:
        return len(self._children) + len(self._failed)

    def spawn(
        self,
        key: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        limit: float | None,
        done: Callable[[ProcessEnd], None],
        mark: str | None = None,
    ) -> None:
        """Start ``argv``; ``done`` is called from ``poll`` exactly once, also where the program cannot be started."""
        now = time.time()
        environ = in_a_shell(env)
        if mark:
            environ[MARK] = mark
        try:
            popen = subprocess.Popen(
                list(argv),
                env=environ,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ended = ProcessEnd(key, "unstarted", None, None, b"", 0, b"", now, now, detail=f"{argv[0]}: {error}")
            self._failed.append((done, ended))
            return
        deadline = None if limit is None else time.monotonic() + limit
        child = _Child(key, popen, mark, cwd, done, now, deadline, oom_kills=oom_kills())
        self._children[popen.pid] = child
        for stream, take in ((popen.stdout, self._take_stdout), (popen.stderr, self._take_stderr)):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self.selector.register(stream, selectors.EVENT_READ, _bind(take, child))

    def cancel(self, key: str, ending: str = "cancelled") -> bool:
        """End a child's group by SIGTERM, and by SIGKILL after ``GRACE``; return whether such a child runs."""
        for child in self._children.values():
            if child.key == key:
                self._terminate(child, ending)
                return True
        return False

    def cancel_all(self, ending: str = "cancelled") -> None:
        for child in list(self._children.values()):
            self._terminate(child, ending)

    def kill_all(self) -> None:
        """Kill every child's group and its marked descendants at once, without callbacks, before this process exits."""
        for child in list(self._children.values()):
            self._note_shared_memory(child)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.popen.pid, signal.SIGKILL)
                os.waitid(os.P_PID, child.popen.pid, os.WEXITED | os.WNOWAIT)
            self._sweep(child)
            remove_shared_memory(child.shared_memory, child.started)

    def poll(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for output, an end or a time limit, and handle it."""
        now = time.monotonic()
        for child in self._children.values():
            due = child.kill_at if child.kill_at is not None else child.deadline
            if due is not None:
                timeout = min(timeout, max(0.0, due - now))
        if self._failed:
            timeout = 0.0
        for key, _ in self.selector.select(timeout):
            key.data(key.fileobj)
        self._enforce()
        self._reap()
        failed, self._failed = self._failed, []
        for done, ended in failed:
            done(ended)

    def _drain_wake(self, _: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _read(self, stream: Any) -> bytes | None:
        """Return what can be read now: None if nothing, b"" at the end of the stream."""
        try:
            return os.read(stream.fileno(), 1 << 16)
        except BlockingIOError:
            return None

    def _take_stdout(self, child: _Child, stream: Any) -> bool:
        chunk = self._read(stream)
        if chunk:
            child.stdout_bytes += len(chunk)
            child.stdout += chunk[: max(0, STDOUT_CAP - len(child.stdout))]
        return self._more(stream, chunk)

    def _take_stderr(self, child: _Child, stream: Any) -> bool:
        chunk = self._read(stream)
        if chunk:
            child.stderr += chunk
            if len(child.stderr) > 2 * STDERR_CAP:
                del child.stderr[:-STDERR_CAP]
        return self._more(stream, chunk)

    def _more(self, stream: Any, chunk: bytes | None) -> bool:
        if chunk == b"":
            self.selector.unregister(stream)
            stream.close()
        return bool(chunk)

    def _terminate(self, child: _Child, ending: str) -> None:
        if child.kill_at is None:
            if ending == "timeout":
                child.starved = starvation(child.popen.pid, child.mark, child.cwd, time.time() - child.started)
            child.ending = ending
            child.kill_at = time.monotonic() + GRACE
            self._note_shared_memory(child)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.popen.pid, signal.SIGTERM)

    def _note_shared_memory(self, child: _Child) -> None:
        """Note what a child must not leave, before a signal ends it; a command of a scheduler has no mark."""
        if child.mark is not None:
            child.shared_memory |= shared_memory(child.popen.pid, child.mark, child.cwd)

    def _enforce(self) -> None:
        now = time.monotonic()
        for child in list(self._children.values()):
            if child.kill_at is not None and now >= child.kill_at:
                self._note_shared_memory(child)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.popen.pid, signal.SIGKILL)
                child.kill_at = now + GRACE
            elif child.kill_at is None and child.deadline is not None and now >= child.deadline:
                self._terminate(child, "timeout")

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            orphans = self._sweep(child)
            code = child.popen.wait()
            remove_shared_memory(child.shared_memory, child.started)
            del self._children[pid]
            for stream, take in ((child.popen.stdout, self._take_stdout), (child.popen.stderr, self._take_stderr)):
                assert stream is not None
                while not stream.closed and take(child, stream):
                    pass
                if not stream.closed:  # a process outside the child's group holds it open
                    self.selector.unregister(stream)
                    stream.close()
            child.done(
                ProcessEnd(
                    child.key,
                    child.ending,
                    code if code >= 0 else None,
                    -code if code < 0 else None,
                    bytes(child.stdout),
                    child.stdout_bytes,
                    bytes(child.stderr[-STDERR_CAP:]),
                    child.started,
                    time.time(),
                    tuple(orphans),
                    detail=_memory_kill(child, code),
                    starved=child.starved,
                )
            )
        self._bury()

    def _adopted(self) -> list[int]:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123
                return [pid for pid in map(int, file.read().split()) if pid not in self._children]
        except OSError:
            return []

    def _bury(self) -> None:
        """Reap adopted processes that have ended by themselves."""
        for pid in self._adopted():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _sweep(self, child: _Child) -> list[str]:
        """Kill the orphans of a child: its group, and adopted descendants that carry its mark or work in its folder.

        The children of a killed orphan become children of this process in turn, so repeat until there are none.
        Returns the names of what was killed.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.popen.pid, signal.SIGKILL)
        killed: list[str] = []
        for _ in range(100):
            orphans = [pid for pid in self._adopted() if belongs(pid, child.popen.pid, child.mark, child.cwd)]
            if not orphans:
                break
            if not killed:  # a launcher that ends by SIGTERM ends its job step too; SIGKILL would leave the step
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGTERM)
                time.sleep(0.3)
            for pid in orphans:
                killed.append(name_of(pid))
                with contextlib.suppress(ProcessLookupError, ChildProcessError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        return killed


def oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since it started; 0 if it does not count."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError, IndexError):
        return 0


def _memory_kill(child: _Child, code: int) -> str:
    """Return that a process of a child was killed for lack of memory, if that is why it failed; else nothing."""
    if code == 0 or child.ending != "exited" or not (code in (-signal.SIGKILL, 137) or KILLED.search(child.stderr)):
        return ""
    count = oom_kills() - child.oom_kills
    return (
        f"out of memory: the kernel killed {count} processes while this ran (oom_kill in /proc/vmstat)"
        if count > 0
        else ""
    )


def _bind(take: Callable[[_Child, Any], bool], child: _Child) -> Callable[[Any], bool]:
    return lambda stream: take(child, stream)
