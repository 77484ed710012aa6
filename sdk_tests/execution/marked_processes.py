"""Telling whose a process is, from /proc: what a case left running must be found wherever it has gone.

Standard library only, like ``procs``, which uses it.
"""

from __future__ import annotations

import contextlib
import os
import signal

MARK = "EXAWORKS_CASE_MARK"
"""The variable that names run, case and attempt in the environment of everything a case starts."""


def kill_marked(prefix: str, folder: str) -> list[str]:
    """Kill every process whose mark begins with ``prefix`` or that works in ``folder``: where their parent is gone."""
    killed = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        if (_mark_of(int(entry.name)) or "").startswith(prefix) or _works_in(int(entry.name), folder):
            killed.append(name_of(int(entry.name)))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(entry.name), signal.SIGKILL)
    return killed


def belongs(pid: int, group: int, mark: str | None, folder: str) -> bool:
    """Whether a process is a case's: of its group, with its mark, or, since a process that renames itself
    (setproctitle) overwrites its mark, at work in its folder."""
    return _group_of(pid) == group or (mark is not None and (_mark_of(pid) == mark or _works_in(pid, folder)))


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
