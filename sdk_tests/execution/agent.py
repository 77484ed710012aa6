"""Runs the cases of one allocation, from inside it: ``python agent.py REQUESTS``.

Standard library only. ``REQUESTS`` is a JSON file that the supervisor wrote on the shared file system. The end of each
case is written beside it as ``<index>.json`` with ``<index>.out`` and ``<index>.err``. The JSON file comes last and
atomically, so the supervisor can collect each case as soon as it has ended, also after a kill. An agent that is started
again, because its job was requeued, runs the cases that have no such file yet.

Where a scheduler runs inside the allocation (``inner`` in the file), it is checked after each case that did not end
well: jobs of that case are cancelled, and it must still answer. If it does not, no further case is started there, and
those that have not started are reported as ``not-started``, so that the supervisor can submit them again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable

COMMAND_LIMIT = 15.0
"""Seconds that a command of the inner scheduler may take."""
CANCEL_LIMIT = 15.0
"""Seconds after which the inner jobs of an ended case must be gone."""


def payload_environment(own: Mapping[str, str], change: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a payload: the job's own, without what would let another Python take part."""
    removed = set(change["unset"])
    kept = {name: value for name, value in own.items() if not name.startswith("PYTHON") and name not in removed}
    return {**kept, **change["set"]}


@dataclass
class Running:
    """A case that runs. ``disturbed``: why its allocation was not healthy while it ran; empty where it was."""

    index: int
    cores: int
    scratch: str
    waited: bool
    disturbed: str = ""


class InnerScheduler:
    """The scheduler inside the allocation: lists and cancels the jobs of a case, and checks whether it still works.

    commands: ``list`` prints a line ``ID FOLDER`` for each live job, ``cancel`` takes ids, ``ping`` exits 0 while it
    answers, ``busy`` prints how many cores its jobs hold.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], processes: ProcessTable, folder: str) -> None:
        self._commands, self._processes, self._folder = commands, processes, folder

    def check(self, scratch: str, alone: bool, done: Callable[[str, str], None]) -> None:
        """Clear away the jobs below ``scratch`` and check the scheduler.

        Calls ``done(found, problem)``: ``found`` describes the jobs that the case had left, ``problem`` says why the
        scheduler cannot be used any more; each is empty where there is nothing to report. alone: no other case runs.
        """
        deadline = time.monotonic() + CANCEL_LIMIT
        found: list[str] = []

        def listed(end: ProcessEnd) -> None:
            if _failed(end):
                done(", ".join(found), f"its jobs cannot be listed: {_line(end)}")
                return
            rows = (text.partition(" ") for text in end.stdout.decode(errors="replace").splitlines())
            jobs = [job for job, _, folder in rows if (folder.strip() + "/").startswith(scratch.rstrip("/") + "/")]
            found.extend(job for job in jobs if job not in found)
            if not jobs:
                self._run("ping", [], pinged)
            elif time.monotonic() > deadline:
                done(", ".join(found), f"jobs {', '.join(jobs)} of an ended case cannot be cancelled")
            else:
                self._run("cancel", jobs, lambda _: self._run("list", [], listed))

        def pinged(end: ProcessEnd) -> None:
            if _failed(end):
                done(", ".join(found), f"it does not answer: {_line(end)}")
            elif alone and self._commands.get("busy"):
                self._run("busy", [], counted)
            else:
                done(", ".join(found), "")

        def counted(end: ProcessEnd) -> None:
            busy = end.stdout.decode(errors="replace").split()
            held = next((word for word in busy if word.isdigit() and int(word)), None)
            if held is None:
                done(", ".join(found), "")
            elif time.monotonic() > deadline:
                done(", ".join(found), f"{held} cores are held although no case runs")
            else:
                self._run("busy", [], counted)

        self._run("list", [], listed)

    def _run(self, name: str, more: Sequence[str], done: Callable[[ProcessEnd], None]) -> None:
        argv = [*self._commands[name], *more]
        self._processes.spawn(f"inner {name}", argv, os.environ, self._folder, COMMAND_LIMIT, done)


class Agent:
    """The cases of one allocation, as many at once as its slots allow; all callbacks happen inside ``poll``."""

    def __init__(self, requests: Path) -> None:
        given: dict[str, Any] = json.loads(requests.read_text(encoding="utf-8"))
        self._folder = requests.parent
        self._slots: int = given["slots"]
        self._waiting = [
            (index, case) for index, case in enumerate(given["cases"]) if not (self._folder / f"{index}.json").exists()
        ]
        self._processes = ProcessTable()
        inner = given.get("inner")
        self._inner = InnerScheduler(inner, self._processes, str(self._folder)) if inner else None
        self._running: dict[int, Running] = {}
        self._checks = 0
        self._full = False
        self._unhealthy = ""
        self.stopping = False

    def run(self) -> None:
        """Run every case; SIGTERM and SIGINT end those that run."""
        hello = {"pid": os.getpid(), "started": time.time(), "host": os.uname().nodename}
        _write_whole(self._folder / "agent.json", json.dumps(hello))
        while self._waiting or len(self._processes) or self._checks:
            if self.stopping:
                self._waiting.clear()
                self._processes.cancel_all("terminated")
            elif self._unhealthy:
                self._give_back()
            elif not self._checks:
                self._start()
            self._processes.poll(1.0)

    def _start(self) -> None:
        while self._waiting:
            index, case = self._waiting[0]
            used = sum(running.cores for running in self._running.values())
            if used and used + case["cores"] > self._slots:
                break
            del self._waiting[0]
            running = Running(index, case["cores"], case["scratch"], self._full)
            self._running[index] = running
            (self._folder / f"{index}.started").touch()
            self._processes.spawn(
                case["key"],
                case["argv"],
                payload_environment(os.environ, case["environment"]),
                case["scratch"],
                case["walltime"],
                partial(self._ended, running),
                mark=case["mark"],
            )
        self._full = self._full or bool(self._waiting)

    def _ended(self, running: Running, end: ProcessEnd) -> None:
        del self._running[running.index]
        clean = end.ending == "exited" and end.exit_code == 0
        if clean or self._inner is None or self.stopping:
            self._write(running, end)
            return
        self._checks += 1
        self._inner.check(running.scratch, not self._running, partial(self._checked, running, end))

    def _checked(self, running: Running, end: ProcessEnd, found: str, problem: str) -> None:
        self._checks -= 1
        if found or problem:
            reason = "; ".join(
                part for part in (problem, f"a case that ended left jobs: {found}" if found else "") if part
            )
            for other in self._running.values():
                other.disturbed = other.disturbed or reason
        if problem:
            self._unhealthy = self._unhealthy or problem
            running.disturbed = running.disturbed or problem
        self._write(running, end)

    def _give_back(self) -> None:
        now = time.time()
        for index, case in self._waiting:
            end = ProcessEnd(case["key"], "not-started", None, None, b"", 0, b"", now, now, detail=self._unhealthy)
            self._write(Running(index, case["cores"], case["scratch"], True), end)
        self._waiting.clear()

    def _write(self, running: Running, end: ProcessEnd) -> None:
        """Write how a case ended. ``waited``: it waited for a slot, so its start says nothing about launching."""
        name = str(running.index)
        (self._folder / f"{name}.out").write_bytes(end.stdout)
        (self._folder / f"{name}.err").write_bytes(end.stderr)
        meta = {
            "ending": end.ending,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "stdout_bytes": end.stdout_bytes,
            "started": end.started,
            "ended": end.ended,
            "orphan_processes": list(end.orphan_processes),
            "detail": end.detail,
            "waited": running.waited,
            "disturbed": running.disturbed,
            "starved": end.starved,
        }
        _write_whole(self._folder / f"{name}.json", json.dumps(meta))


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _failed(end: ProcessEnd) -> bool:
    return end.ending != "exited" or end.exit_code != 0


def _line(end: ProcessEnd) -> str:
    if end.ending == "timeout":
        return f"no answer within {COMMAND_LIMIT:g} s"
    lines = (end.detail or end.stderr.decode(errors="replace")).strip().splitlines()
    return lines[-1] if lines else f"exit {end.exit_code}"


def main(requests: Path) -> None:
    """Run the cases that the file describes."""
    agent = Agent(requests)

    def stop(*_: object) -> None:
        agent.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    agent.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
