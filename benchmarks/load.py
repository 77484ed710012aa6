"""The load of the machine while something is measured: how much of it other programs used.

A ratio of two times means something only if both had the machine to themselves. ``Watch`` compares what all cores did
(``/proc/stat``) with the processor time of this process and its descendants; the difference is what others used.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

LIMIT = 0.10
"""Share of all cores that other programs may use, before and during a measurement, for its ratios to be printed."""
BEFORE = 3.0
"""Seconds for which the machine is watched before anything is measured."""
COLLECT = 2.0
"""Seconds between two collections of ended orphans."""
_TICK = float(os.sysconf("SC_CLK_TCK"))
_SUBREAPER = 36


@dataclass(frozen=True)
class Load:
    """What a watch saw: shares of all cores from 0 to 1, and processor seconds of what was measured."""

    others: float
    own_seconds: float
    seconds: float

    @property
    def idle(self) -> bool:
        """Whether other programs left the machine to what was measured."""
        return self.others <= LIMIT

    def __str__(self) -> str:
        return f"other programs used {self.others:.0%} of the cores"


class Watch:
    """Watches from its creation on; ``load`` may be called any number of times.

    Orphaned daemons of what is measured, such as those of a testbed, become children of this process, so that their
    processor time counts as its own. A thread collects the ended ones: each job of a Slurm leaves one.
    """

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        threading.Thread(target=_collect_orphans, daemon=True).start()
        self._begin = (time.monotonic(), _busy(), _own())

    def load(self) -> Load:
        """Return the load since the creation."""
        began, busy, own = self._begin
        seconds = max(time.monotonic() - began, 1e-6)
        own_seconds = max(_own() - own, 0.0)
        others = max(_busy() - busy - own_seconds, 0.0) / (seconds * (os.cpu_count() or 1))
        return Load(min(others, 1.0), own_seconds, seconds)


def _collect_orphans() -> None:
    """Wait for ended children of other sessions, which are not those that this process started and waits for itself."""
    while True:
        for pid, fields in _processes():
            state, parent, session = fields[0], int(fields[1]), int(fields[3])
            if state == "Z" and parent == os.getpid() and session != os.getsid(0):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        time.sleep(COLLECT)


def before() -> Load:
    """Watch the machine for ``BEFORE`` seconds without doing anything."""
    watch = Watch()
    time.sleep(BEFORE)
    return watch.load()


def pace() -> float:
    """Return the milliseconds that a core needs for a million additions: the best of five attempts.

    Cores of a virtual machine get slower without anything in it showing it, by half and for minutes. Two measurements
    can be compared only if this is the same for both.
    """
    best = float("inf")
    for _ in range(5):
        began, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def machine() -> str:
    """Describe this machine in one line, with the date."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    return (
        f"{today}, {os.cpu_count()} cores ({cpu}), {memory:.0f} GB, {release.get('PRETTY_NAME', platform.system())}, "
        f"Python {platform.python_version()}"
    )


def _busy() -> float:
    """Return the seconds for which cores were not idle since the start of the machine; stolen time counts."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICK


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each process with the fields of its status, from the third on (proc(5))."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def _own() -> float:
    """Return the processor seconds of this process, its descendants, and those of them that were waited for."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for pid, fields in _processes():
        parents[pid], times[pid] = int(fields[1]), sum(map(int, fields[11:15])) / _TICK
    total = 0.0
    for pid, seconds in times.items():
        ancestor = pid
        while ancestor and ancestor != os.getpid():
            ancestor = parents.get(ancestor, 0)
        total += seconds if ancestor else 0.0
    return total
