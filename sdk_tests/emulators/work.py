"""The processes of an emulated job: started in a session of its own, and ended with all they have started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from sdk_tests.emulators.client import VARIABLE
from sdk_tests.emulators.cluster import Job

MARK = "EMULATED_JOB"
"""Set for whatever a job starts: FOLDER#NUMBER; by it also a process that left the job's session is found."""
NODE = "EMULATED_NODENAME"
"""The emulated node a process is meant to be on: all nodes share this machine's own host name."""


def start(job: Job, env: dict[str, str], folder: str) -> subprocess.Popen[bytes]:
    """Start a job's program on its first node.

    Raises:
        OSError: it cannot be started, or a file of its streams cannot be opened.
    """
    full = {**env, VARIABLE: folder, MARK: f"{folder}#{job.number}", NODE: job.hosts[0]}
    with contextlib.ExitStack() as files:
        stdin = files.enter_context(Path(job.stdin or os.devnull).open("rb"))
        stdout = files.enter_context(Path(job.stdout or os.devnull).open("ab"))
        stderr = stdout
        if job.stderr != job.stdout:
            stderr = files.enter_context(Path(job.stderr or os.devnull).open("ab"))
        return subprocess.Popen(
            job.argv,
            env=full,
            cwd=job.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=job.umask,
        )


def send(job: Job, number: int, folder: str) -> int:
    """Send a signal to every process of a job; return how many there were."""
    found = processes(job, folder)
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return len(found)


def clear(job: Job, folder: str) -> None:
    """Kill what is left of a job; what those start meanwhile is found in the next round."""
    for _ in range(20):
        if not send(job, signal.SIGKILL, folder):
            return


def processes(job: Job, folder: str) -> list[int]:
    """Return the live processes of a job: those of its session, and those that carry its mark."""
    mark = f"{MARK}={folder}#{job.number}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] in "ZX":
                continue
            if int(fields[3]) == job.pid or mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found
