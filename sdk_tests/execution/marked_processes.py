"""Finding out from /proc to which case a process belongs, so that its orphans are found wherever they went.

Standard library only, like ``process_table``, which uses it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

MARK = "EXAWORKS_CASE_MARK"
"""The variable that names run, case and attempt in the environment of everything a case starts."""


KILL_LIMIT = 2.0
"""Seconds after SIGKILL in which a process has ended."""
SHARED = "/dev/shm/"  # noqa: S108 (nothing is created there)


def kill_marked(prefix: str, folder: str) -> list[str]:
    """Kill every process whose mark begins with ``prefix`` or that works in ``folder``; return their names.

    For the case that the process which had started them is gone. A process with a terminal is spared if it only works
    in the folder: a user may look at the files. So is this process. The shared memory that the killed processes created
    is removed.
    """
    killed: list[str] = []
    pids: list[int] = []
    files: set[int] = set()
    since = time.time()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        if (_mark_of(pid) or "").startswith(prefix) or (_works_in(pid, folder) and not _has_terminal(pid)):
            name, mapped = name_of(pid), _mapped(pid)
            with contextlib.suppress(OSError, ValueError, IndexError):
                began = _began(pid)
                os.kill(pid, signal.SIGKILL)
                killed.append(name)
                pids.append(pid)
                files, since = files | mapped, min(since, began)
    deadline = time.monotonic() + KILL_LIMIT
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    remove_shared_memory(files, since)
    return killed


def _began(pid: int) -> float:
    """Return when a process was started, in seconds since the epoch, at most 0.02 s too early (proc(5))."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        ticks = int(file.read().rpartition(")")[2].split()[19])
    # On a busy machine this process may wait between the two clocks, which makes the difference too small.
    booted = max(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) for _ in range(3))
    return booted + ticks / os.sysconf("SC_CLK_TCK") - 0.02


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def _has_terminal(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[4] != "0"  # tty_nr of proc(5)
    except (OSError, IndexError):
        return False


def belongs(pid: int, group: int, mark: str | None, folder: str) -> bool:
    """Return whether a process belongs to a case: by its group, by its mark, or by its working directory.

    The working directory counts because a process that renames itself (setproctitle) overwrites its mark.
    """
    return _group_of(pid) == group or (mark is not None and (_mark_of(pid) == mark or _works_in(pid, folder)))


def starvation(group: int, mark: str | None, folder: str, seconds: float) -> float:
    """Return the largest share of ``seconds`` for which a thread of a case could have run and had no core.

    Source: the run delay in ``/proc/PID/task/TID/schedstat`` (sched-stats in the kernel's documentation), of the
    processes of the case that are alive. 0 where the kernel keeps none. A program that only sleeps is not starved,
    however busy the machine is.
    """
    longest = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or not belongs(int(entry.name), group, mark, folder):
            continue
        with contextlib.suppress(OSError):
            for task in os.scandir(f"/proc/{entry.name}/task"):
                with contextlib.suppress(OSError, ValueError, IndexError), open(f"{task.path}/schedstat") as file:  # noqa: PTH123
                    longest = max(longest, int(file.read().split()[1]))
    return round(min(1.0, longest / 1e9 / max(seconds, 0.001)), 3)


def shared_memory(group: int, mark: str | None, folder: str) -> set[int]:
    """Return the files in /dev/shm that processes of a case use, as inode numbers.

    A program that is killed cannot remove them; an example are the semaphores of Python's multiprocessing. Their names
    are not known: a semaphore gets its name after it was mapped (sem_open(3)).
    """
    files: set[int] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and belongs(int(entry.name), group, mark, folder):
            files |= _mapped(int(entry.name))
    return files


def remove_shared_memory(files: set[int], since: float) -> None:
    """Remove those of these files that belong to us, were created after ``since``, and that no process uses any more.

    since: seconds since the epoch.
    """
    if not files:
        return
    used: set[int] = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            used |= _mapped(int(entry.name))
    with contextlib.suppress(OSError):
        for entry in os.scandir(SHARED):
            if entry.inode() in files - used:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_uid == os.getuid() and status.st_ctime >= since:
                        os.unlink(entry.path)  # noqa: PTH108


def _mapped(pid: int) -> set[int]:
    """Return the inodes of the files in /dev/shm that a process has mapped; source: /proc/PID/maps of proc(5)."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return {int(line.split()[4]) for line in file if f" {SHARED}" in line}
    except OSError:
        return set()


def _works_in(pid: int, folder: str) -> bool:
    try:
        return (os.readlink(f"/proc/{pid}/cwd") + "/").startswith(folder.rstrip("/") + "/")  # noqa: PTH115
    except OSError:
        return False


def _mark_of(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            for entry in file.read().split(b"\0"):
                name, _, value = entry.partition(b"=")
                if name == MARK.encode():
                    return value.decode(errors="replace")
    except OSError:
        pass
    return None


def name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return "?"


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
