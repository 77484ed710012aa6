"""Find processes by their command lines or working directories, in /proc, since a small system has no pgrep or ps."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path


def running(pattern: str, parent: int | None = None) -> list[int]:
    """Return the ids of other processes whose command line contains a match; with ``parent``, of its children only."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").rstrip()
            # The name of a program in the second field of stat may contain spaces and parentheses.
            above = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if re.search(pattern, command) and parent in (None, above):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def working_below(folder: Path) -> list[int]:
    """Return the ids of other processes whose working directory is this folder or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def kill_below(folder: Path) -> None:
    """Kill the processes that work in or below a folder, such as agents of RADICAL that survive their client."""
    for pid in working_below(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
