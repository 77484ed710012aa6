"""Ends a payload within its time limit, with all processes and jobs of its pilot.

RADICAL's bridges and agents leave their process group, its agents ignore SIGTERM, and its client waits for ever for an
agent that has died. All of them run below one folder that nothing else uses, and they are identified by that folder.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import _jobs

APPEAR = 180.0
"""Seconds within which an agent, or a batch job for it, must have appeared."""
SOCKETS = "sockets"
"""The name of a link below the root to a folder elsewhere, which is removed together with the root."""
LOGS = (
    "bootstrap_0.err",
    "bootstrap_0.out",
    "agent_0.err",
    "agent_0.log",
    "pmgr_launching.*.err",
    "pmgr_launching.*.log",
)


class Guard:
    """Monitors the pilot below ``root``; a context manager around everything that uses RADICAL.

    It ends this process, with exit code 1 and the last lines of the logs on stderr, if the pilot's agent has ended,
    after ``limit`` seconds (without the time in the queue), and on SIGTERM. On exit from the context it kills
    everything that still runs below ``root``.
    """

    def __init__(self, root, kind, limit, poll=1.0):
        self.root, self.kind, self.limit, self.poll = str(root), kind, limit, max(1.0, poll)
        self.owner = os.getpid()
        self.ending = threading.Lock()
        self.end_expected = threading.Event()
        self.finished = threading.Event()

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: self.end(f"received {signal.Signals(received).name}"))
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.finished.set()
        self.clean_up()

    def expect_end(self):
        """From now on the agent may end; the time limit still applies."""
        self.end_expected.set()

    def wait_for_end(self, seconds=10.0):
        """Wait until an agent that was asked to end has ended, but not longer than ``seconds``."""
        self.expect_end()
        end = time.monotonic() + seconds
        while self.state() in ("queued", "running", None) and time.monotonic() < end:
            time.sleep(0.2)

    def jobs(self):
        """Return the batch jobs whose folder is below ``root``, or None if the scheduler does not answer."""
        if self.kind not in _jobs.KINDS:
            return []
        try:
            return _jobs.below(self.root, self.kind)
        except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
            print(f"the state of the pilot's job is not known at the moment: {error}", file=sys.stderr)
            return None

    def agents(self):
        """Return the processes that run below ``root`` or have it in their environment, without our own ancestors."""
        ancestors, pid = {0}, os.getpid()
        while pid:
            ancestors.add(pid)
            pid = parent(pid)
        running = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
        return [pid for pid in running if pid not in ancestors and self._belongs(pid)]

    def state(self):
        """Return ``queued``, ``running`` or ``ended``; None if the state is not known."""
        if self.kind not in _jobs.KINDS:
            return "running" if any(folder(pid).name.startswith("pilot.") for pid in self.agents()) else "ended"
        jobs = self.jobs()
        if jobs is None:
            return None
        states = {job["state"] for job in jobs}
        return "running" if "RUNNING" in states else "queued" if "QUEUED" in states else "ended"

    def end(self, reason):
        """Exit at once, with the logs and the reason on stderr; a process forked by RADICAL exits without them."""
        if os.getpid() != self.owner:
            os._exit(143)
        if not self.ending.acquire(blocking=False):
            return
        for name in LOGS:
            for path in sorted(Path(self.root).rglob(name)):
                tail = path.read_text(errors="replace").splitlines()[-15:]
                if tail:
                    print(f"--- {path}", *tail, sep="\n", file=sys.stderr)
        print(f"The payload ends its pilot below {self.root}: {reason}.", file=sys.stderr, flush=True)
        self.clean_up()
        os._exit(1)

    def clean_up(self, seconds=10.0):
        """Cancel the pilot's batch jobs and kill its processes until none remains, but not longer than ``seconds``."""
        end = time.monotonic() + seconds
        elsewhere = Path(self.root, SOCKETS)
        while True:
            live = [job["id"] for job in self.jobs() or [] if job["state"] != "ENDED"]
            if live:
                _jobs.cancel(self.kind, live)
            pids = self.agents()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not (live or pids) or time.monotonic() > end:
                if elsewhere.is_symlink():
                    shutil.rmtree(elsewhere.readlink(), ignore_errors=True)
                return
            time.sleep(0.1)

    def _below(self, folder):
        return folder == self.root or folder.startswith(self.root + "/")

    def _belongs(self, pid):
        try:
            marked = f"{self.root}/".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            return marked or self._below(str(folder(pid)))
        except OSError:
            return False

    def _watch(self):
        started = last = time.monotonic()
        appeared = False
        while not self.finished.wait(self.poll):
            now = time.monotonic()
            if now - started > self.limit:
                self.end(f"not done after {now - started:.0f} s, and its time limit is close")
            state = None if self.end_expected.is_set() else self.state()
            if state == "queued":
                self.limit += now - last
            last = now
            appeared = appeared or state in ("queued", "running")
            if state == "ended" and not self.end_expected.is_set():
                if appeared:
                    self.end("its agent has ended")
                if now - started > APPEAR:
                    self.end(f"neither an agent nor a batch job for it appeared within {now - started:.0f} s")


def folder(pid):
    """Return the working directory of a process; an empty path if it has ended."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path()


def parent(pid):
    """Return the parent's pid, or 0 if the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
