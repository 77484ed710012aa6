"""An end that always comes: what a pilot left running is found by the folder it runs below, and ended.

RADICAL's bridges and agents leave their process group, its agents outlive SIGTERM, and its client waits for ever for an
agent that has died. All of them run below one folder that nobody else uses, so that folder is the mark to find them by.
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
"""Seconds after which an agent, or a batch job for it, must have been seen at least once."""
SOCKETS = "sockets"
"""A link below the root to a folder elsewhere that goes with it."""
LOGS = (
    "bootstrap_0.err",
    "bootstrap_0.out",
    "agent_0.err",
    "agent_0.log",
    "pmgr_launching.*.err",
    "pmgr_launching.*.log",
)


class Guard:
    """Watches over the one pilot below ``root``; use as a context, around all that uses RADICAL.

    It ends this very process, with the tails of the logs on stderr and exit code 1: where the pilot's agent has gone,
    where ``limit`` seconds are over (those in the queue apart), and on SIGTERM. When the context is left, everything
    that still runs below ``root`` is ended.
    """

    def __init__(self, root, kind, limit, poll=1.0):
        self.root, self.kind, self.limit, self.poll = str(root), kind, limit, max(1.0, poll)
        self.owner = os.getpid()
        self.ending = threading.Lock()
        self.may_go = threading.Event()
        self.over = threading.Event()

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda got, _: self.end(f"got {signal.Signals(got).name}"))
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.sweep()

    def expect_the_end(self):
        """From here on the agent may go; the time limit stays."""
        self.may_go.set()

    def see_off(self, patience=10.0):
        """Give an agent that was asked to leave the time to do so."""
        self.expect_the_end()
        until = time.monotonic() + patience
        while self.state() in ("queued", "running", None) and time.monotonic() < until:
            time.sleep(0.2)

    def jobs(self):
        """Return the batch jobs whose folder lies below ``root``, or None where the scheduler does not answer."""
        if self.kind not in _jobs.KINDS:
            return []
        try:
            return _jobs.below(self.root, self.kind)
        except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
            print(f"the pilot's job is not known just now: {error}", file=sys.stderr)
            return None

    def agents(self):
        """Return the processes here that run below ``root`` or carry it in their environment, our kin excepted."""
        kin, pid = {0}, os.getpid()
        while pid:
            kin.add(pid)
            pid = parent(pid)
        running = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
        return [pid for pid in running if pid not in kin and self._ours(pid)]

    def state(self):
        """Return ``queued``, ``running`` or ``gone``; None where that is not known."""
        if self.kind not in _jobs.KINDS:
            return "running" if any(folder(pid).name.startswith("pilot.") for pid in self.agents()) else "gone"
        jobs = self.jobs()
        if jobs is None:
            return None
        states = {job["state"] for job in jobs}
        return "running" if "RUNNING" in states else "queued" if "QUEUED" in states else "gone"

    def end(self, why):
        """Leave at once, with ``why`` and the logs on stderr; a child that RADICAL forked from here just leaves."""
        if os.getpid() != self.owner:
            os._exit(143)
        if not self.ending.acquire(blocking=False):
            return
        for name in LOGS:
            for path in sorted(Path(self.root).rglob(name)):
                tail = path.read_text(errors="replace").splitlines()[-15:]
                if tail:
                    print(f"--- {path}", *tail, sep="\n", file=sys.stderr)
        print(f"The pilot below {self.root} is ended: {why}.", file=sys.stderr, flush=True)
        self.sweep()
        os._exit(1)

    def sweep(self, patience=10.0):
        """Cancel its batch jobs and kill its processes until none is left."""
        until = time.monotonic() + patience
        elsewhere = Path(self.root, SOCKETS)
        while True:
            live = [job["id"] for job in self.jobs() or [] if job["state"] != "ENDED"]
            if live:
                _jobs.cancel(self.kind, live)
            pids = self.agents()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not (live or pids) or time.monotonic() > until:
                if elsewhere.is_symlink():
                    shutil.rmtree(elsewhere.readlink(), ignore_errors=True)
                return
            time.sleep(0.1)

    def _below(self, folder):
        return folder == self.root or folder.startswith(self.root + "/")

    def _ours(self, pid):
        try:
            marked = f"{self.root}/".encode() in Path(f"/proc/{pid}/environ").read_bytes()
            return marked or self._below(str(folder(pid)))
        except OSError:
            return False

    def _watch(self):
        started = last = time.monotonic()
        seen = False
        while not self.over.wait(self.poll):
            now = time.monotonic()
            if now - started > self.limit:
                self.end(f"not done after {now - started:.0f} s, and its time is nearly over")
            state = None if self.may_go.is_set() else self.state()
            if state == "queued":
                self.limit += now - last
            last = now
            seen = seen or state in ("queued", "running")
            if state == "gone" and not self.may_go.is_set():
                if seen:
                    self.end("its agent has gone")
                if now - started > APPEAR:
                    self.end(f"neither an agent nor a batch job for it was seen in {now - started:.0f} s")


def folder(pid):
    """Return the folder a process is in; an empty path where it has gone."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path()


def parent(pid):
    """Return the parent's pid, 0 where there is none any more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
