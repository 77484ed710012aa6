"""The processes of an emulated job: start them in a session of their own, find all of them, and signal them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from sdk_tests.emulators.client import VARIABLE
from sdk_tests.emulators.cluster import Job

MARK = "EMULATED_JOB"
"""Set to FOLDER#NUMBER for every process of a job. It identifies a process that has left the session of the job."""
NODE = "EMULATED_NODENAME"
"""The emulated node of a process. All nodes share the host name of this machine."""


def start(job: Job, env: dict[str, str], folder: str, *, spools: bool = False) -> subprocess.Popen[bytes]:
    """Start the program of a job on its first node.

    spools: its output is delivered when it has ended, so that it also runs if its output cannot be delivered.

    Raises:
        OSError: the program cannot be started, or a file for its input or output cannot be opened.
    """
    full = {**env, VARIABLE: folder, MARK: f"{folder}#{job.number}", NODE: job.hosts[0]}
    with contextlib.ExitStack() as files:
        stdin = files.enter_context(Path(job.stdin or os.devnull).open("rb"))
        stdout = files.enter_context(_output(job.stdout, spools).open("ab"))
        stderr = stdout
        if job.stderr != job.stdout:
            stderr = files.enter_context(_output(job.stderr, spools).open("ab"))
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


def _output(path: str | None, spools: bool) -> Path:
    if path is None or (spools and not Path(path).parent.is_dir()):
        return Path(os.devnull)
    return Path(path)


def send(job: Job, number: int, folder: str) -> int:
    """Send a signal to every process of a job. Return the number of processes."""
    pids = processes(job, folder)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    return len(pids)


def kill(job: Job, folder: str) -> None:
    """Kill all remaining processes of a job. Repeat this for processes that they start in the meantime."""
    for _ in range(20):
        if not send(job, signal.SIGKILL, folder):
            return


def processes(job: Job, folder: str) -> list[int]:
    """Return the pids of the live processes of a job: those in its session and those with its mark."""
    mark = f"{MARK}={folder}#{job.number}".encode()
    pids = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] in "ZX":
                continue
            if int(fields[3]) == job.pid or mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                pids.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return pids
