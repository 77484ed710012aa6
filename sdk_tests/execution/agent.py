"""Runs the cases of one allocation, from inside it: ``python agent.py REQUESTS``.

Standard library only. ``REQUESTS`` is a JSON file that the supervisor wrote on the shared file system. The end of each
case is written beside it as ``<index>.json`` with ``<index>.out`` and ``<index>.err``. The JSON file comes last and
atomically, so the supervisor can collect each case as soon as it has ended, also after a kill. An agent that is started
again, because its job was requeued, runs the cases that have no such file yet.

Where a scheduler runs inside the allocation (``inner`` in the file), the jobs that a case has left there are cancelled.
After a case that did not end well, the scheduler must also run a job, and with no other case all cores must be free.
Otherwise no further case is started there, and those that have not started are reported as ``not-started``, so that the
supervisor can submit them again. The agent stops if the scheduler that started it has ended.

``preflights`` in the file are the programs that start each component for real; the one without a name looks at the
node. A case starts when those of its components have ended well; if one has not, the case ends as ``blocked``.

A case with a ``fixture`` shares it with the others that have the same one. If it does not start, its cases have the end
of the fixture as their own, with ``fixture_failed``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from sdk_tests.execution import temporary_folder
from sdk_tests.execution.fixtures import Fixtures
from sdk_tests.execution.node_conditions import conditions
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.model.output import telling_line

COMMAND_LIMIT = 15.0
"""Seconds that a command of the inner scheduler may take."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which schedulers end a job. A broker of Flux sends SIGHUP to its program when its job is cancelled."""
CANCEL_LIMIT = 15.0
"""Seconds after which the inner jobs of an ended case must be gone."""
STOP_NOTICE = 2.0
"""Seconds that the agent waits, after a payload failed, for a signal that ends the whole job.

A scheduler that ends a job signals one process after the other, on each node: the payload may be gone before the agent
gets its signal. The failure is then the job's end, not the component's.
"""
PREFLIGHT_LIMIT = 120.0
"""Seconds that a preflight may take; no case of a component that needs longer to start could pass."""


def payload_environment(own: Mapping[str, str], change: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a payload: the job's own, without what would let another Python take part."""
    removed = set(change["unset"])
    kept = {name: value for name, value in own.items() if not name.startswith("PYTHON") and name not in removed}
    return {**kept, **change["set"]}


@dataclass
class Running:
    """A case that runs.

    disturbed: why its allocation was not healthy while it ran; empty where it was. leftover_jobs: ``job ID`` of each
    job of the inner scheduler that was cancelled after its end. fixture: what it shares with other cases.
    fixture_failed: it did not run, because that did not start.
    """

    index: int
    cores: int
    scratch: str
    waited: bool
    disturbed: str = ""
    leftover_jobs: list[str] = field(default_factory=list)
    fixture: str = ""
    fixture_failed: bool = False


@dataclass
class Findings:
    """What a check of the inner scheduler found.

    leftover_jobs: the jobs that cases which had ended had left, cancelled now. problem: why the scheduler cannot be
    used any more. doubt: why it may have been unable to serve the case that ended; another case may be the reason.
    suspect: it must be checked again as soon as no case runs, before another one is started.
    """

    leftover_jobs: list[str] = field(default_factory=list)
    problem: str = ""
    doubt: str = ""
    suspect: bool = False


class InnerScheduler:
    """The scheduler inside the allocation: cancels the jobs that a case has left, and checks whether it still works.

    commands: ``list`` prints a line ``ID FOLDER`` for each live job, ``cancel`` takes ids, ``try`` runs a job of one
    core and waits for it, ``busy`` prints how many cores are not free. ``try`` and ``busy`` may be absent.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], processes: ProcessTable, folder: str) -> None:
        self._commands, self._processes, self._folder = commands, processes, folder

    def clear(self, scratch: str, others: Callable[[], list[str]], done: Callable[[Findings], None]) -> None:
        """Cancel the jobs below ``scratch``, the folder of a case that ended well, while other cases may start."""
        self._clear(scratch, others, False, done)

    def check(self, scratch: str, others: Callable[[], list[str]], done: Callable[[Findings], None]) -> None:
        """Cancel the jobs that ended cases have left, and try the scheduler; no case may start meanwhile.

        scratch: the folder of the case that has ended. others: returns the folders of the cases that run.
        """

        def cleared(findings: Findings) -> None:
            if findings.problem:
                done(findings)
            elif "try" in self._commands:
                self._run("try", [], partial(tried, findings))
            else:
                self._free(findings, others, done)

        def tried(findings: Findings, end: ProcessEnd) -> None:
            if not _failed(end):
                self._free(findings, others, done)
                return
            reason = f"a job of one core does not run: {_line(end)}"
            if end.ending == "timeout" and others():
                findings.doubt, findings.suspect = f"{reason}, while other cases run", True
            else:
                findings.problem = reason
            done(findings)

        self._clear(scratch, others, True, cleared)

    def _clear(
        self, scratch: str, others: Callable[[], list[str]], held: bool, done: Callable[[Findings], None]
    ) -> None:
        """Cancel what ended cases have left. held: no case starts meanwhile, so without others every job is left."""
        deadline = time.monotonic() + CANCEL_LIMIT
        findings = Findings()

        def listed(end: ProcessEnd) -> None:
            if _failed(end):
                findings.problem = f"its jobs cannot be listed: {_line(end)}"
                done(findings)
                return
            running, cancelled = others(), []
            for job, _, folder in (row.partition(" ") for row in end.stdout.decode(errors="replace").splitlines()):
                own = _below(folder.strip(), self._folder)
                if own or _below(folder.strip(), scratch) or (held and not running):
                    cancelled.append(job)
                    findings.leftover_jobs += [] if own or job in findings.leftover_jobs else [job]
                if not own and not any(_below(folder.strip(), other) for other in (scratch, *running)):
                    findings.doubt = f"job {job} in {folder.strip()} belonged to no case that ran"
            if cancelled and time.monotonic() > deadline:
                findings.problem = f"jobs {', '.join(cancelled)} of ended cases cannot be cancelled"
            if not cancelled or findings.problem:
                done(findings)
            else:
                self._run("cancel", cancelled, lambda _: self._run("list", [], listed))

        self._run("list", [], listed)

    def _free(self, findings: Findings, others: Callable[[], list[str]], done: Callable[[Findings], None]) -> None:
        """Check that all cores are free, where no case runs that could use them."""
        deadline = time.monotonic() + CANCEL_LIMIT

        def counted(end: ProcessEnd) -> None:
            numbers = [int(text) for text in end.stdout.decode(errors="replace").split() if text.isdigit()]
            if not sum(numbers) or others():
                done(findings)
            elif time.monotonic() > deadline:
                findings.problem = f"{sum(numbers)} cores are not free although no case runs"
                done(findings)
            else:
                self._run("busy", [], counted)

        if "busy" in self._commands and not others():
            self._run("busy", [], counted)
        else:
            done(findings)

    def _run(self, name: str, more: Sequence[str], done: Callable[[ProcessEnd], None]) -> None:
        argv = [*self._commands[name], *more]
        self._processes.spawn(f"inner {name}", argv, os.environ, self._folder, COMMAND_LIMIT, done)


class Agent:
    """The cases of one allocation, as many at once as its slots allow; all callbacks happen inside ``poll``."""

    def __init__(self, requests: Path) -> None:
        given: dict[str, Any] = json.loads(requests.read_text(encoding="utf-8"))
        self._folder = requests.parent
        self._slots: int = given["slots"]
        self._only = len(given["cases"]) == 1
        self._waiting = [
            (index, case) for index, case in enumerate(given["cases"]) if not (self._folder / f"{index}.json").exists()
        ]
        self._processes = ProcessTable()
        self._preflights: dict[str, list[str]] = given.get("preflights", {}) if self._waiting else {}
        self._trying: set[str] = set()
        """Components whose preflight has not ended."""
        self._broken: dict[str, ProcessEnd] = {}
        """Components that do not start here, and how their preflight ended."""
        inner = given.get("inner")
        self._inner = InnerScheduler(inner, self._processes, str(self._folder)) if inner else None
        self._parent = os.getppid()
        self._running: dict[int, Running] = {}
        self._fixtures = Fixtures(self._processes)
        self._fixture_cores: dict[str, int] = {}
        """The cores of each fixture that runs."""
        self._checks = self._holds = 0
        self._full = False
        self._unhealthy = ""
        self._suspect = False
        self._failures: list[tuple[float, Running, ProcessEnd, str]] = []
        """Failed cases not written yet, in the order of the time (monotonic) until which the job may prove to end."""
        self.stopping = False

    def run(self) -> None:
        """Run every case; the signals of ``STOP_SIGNALS`` end those that run."""
        hello = {"pid": os.getpid(), "started": time.time(), "host": os.uname().nodename}
        _write_whole(self._folder / "agent.json", json.dumps(hello))
        for component, argv in self._preflights.items():
            self._try(component, argv)
        while self._waiting or len(self._processes) or self._checks or self._failures:
            if self._inner is not None and os.getppid() != self._parent:
                self.stopping = True
            if self.stopping:
                self._waiting.clear()
                self._processes.cancel_all("terminated")
            elif self._unhealthy:
                self._give_back()
            elif not self._holds and not (self._suspect and self._running):
                self._start()
            self._processes.poll(0.1 if self._failures else 1.0)
            self._end_unserved()
            self._write_failures()

    def _try(self, component: str, argv: Sequence[str]) -> None:
        """Start the preflight of a component, or of this node, in the environment of the cases."""

        def ended(end: ProcessEnd) -> None:
            self._trying.discard(component)
            temporary_folder.remove(mark)
            if component:
                if _failed(end):
                    self._broken[component] = end
                return
            blocking, _ = conditions(end.stdout)
            if blocking:
                self._broken[component] = replace(end, stderr=blocking[0].encode())

        self._trying.add(component)
        case = next((case for _, case in self._waiting if component in case.get("components", ())), self._waiting[0][1])
        environ = payload_environment(os.environ, case["environment"])
        mark = self._waiting[0][1]["mark"].partition("/")[0] + f"/preflight {component} of {self._folder}"
        key = f"preflight {component}"
        temporary = temporary_folder.create(str(self._folder), mark, self._waiting[0][1]["one_machine"])
        if temporary is not None:
            environ[temporary_folder.VARIABLE] = temporary
        self._processes.spawn(key, argv, environ, str(self._folder), PREFLIGHT_LIMIT, ended, mark=mark)

    def _block(self) -> None:
        """End the cases of which a component does not start here."""
        for index, case in list(self._waiting):
            name = next((name for name in ("", *case.get("components", ())) if name in self._broken), None)
            if name is not None:
                self._waiting.remove((index, case))
                broken = self._broken[name]
                errors = broken.stderr or broken.detail.encode()
                end = replace(broken, key=case["key"], stdout=b"", stdout_bytes=0, stderr=errors, detail=name)
                if end.ending == "timeout":
                    late = f"\nthe preflight did not end within {PREFLIGHT_LIMIT:g} s\n".encode()
                    end = replace(end, signal=None, stderr=end.stderr + late)
                self._write(Running(index, case["cores"], case["scratch"], True), end, "blocked")

    def _start(self) -> None:
        self._block()
        used = sum(running.cores for running in self._running.values()) + sum(self._fixture_cores.values())
        for index, case in list(self._waiting):
            if self._trying.intersection(("", *case.get("components", ()))):
                continue
            fixture = case.get("fixture")
            name, cores = (fixture["name"], fixture["cores"]) if fixture else ("", case["cores"])
            if name in self._fixtures:  # its cores are counted
                if not self._fixtures.admits(name, case["walltime"]):
                    continue
                cores = 0
            elif used and used + cores > self._slots:
                break
            elif fixture:
                used += cores
                self._start_fixture(fixture, case)
                continue
            used += cores
            self._waiting.remove((index, case))
            running = Running(index, cores, case["scratch"], self._full or bool(fixture), fixture=name)
            argv = [*fixture["enter"], self._fixtures.enter(name)[0], *case["argv"]] if fixture else case["argv"]
            self._running[index] = running
            (self._folder / f"{index}.started").touch()
            self._processes.spawn(
                case["key"],
                argv,
                _environment(case, case["scratch"], case["mark"]),
                case["scratch"],
                case["walltime"],
                partial(self._ended, running, case["mark"]),
                mark=case["mark"],
            )
        self._full = self._full or bool(self._waiting)

    def _start_fixture(self, fixture: Mapping[str, Any], case: Mapping[str, Any]) -> None:
        """Start the fixture of a case, in the environment of the case."""
        name = fixture["name"]
        key, folder = self._fixtures.prepare(name, fixture["scratch"])
        mark = f"{fixture['mark']}/{key}"
        self._fixture_cores[name] = fixture["cores"]

        def ended(_: ProcessEnd) -> None:
            del self._fixture_cores[name]
            temporary_folder.remove(mark)

        seconds = (fixture["start"], fixture["walltime"], fixture["walltime"])
        environ = _environment(case, folder, mark)
        self._fixtures.start(name, key, folder, fixture["argv"], environ, seconds=seconds, mark=mark, ended=ended)

    def _end_unserved(self) -> None:
        """End the cases whose fixture has failed, with its end as their own; end the fixtures that no case needs."""
        for index, case in list(self._waiting):
            name = (case.get("fixture") or {}).get("name")
            if name in self._fixtures.failed:
                self._waiting.remove((index, case))
                end = replace(self._fixtures.failed[name], key=case["key"], stdout=b"", stdout_bytes=0)
                running = Running(index, 0, case["scratch"], True, fixture=name, fixture_failed=True)
                self._write(running, end)
        self._fixtures.tick({case["fixture"]["name"] for _, case in self._waiting if case.get("fixture")})

    def _ended(self, running: Running, mark: str, end: ProcessEnd) -> None:
        del self._running[running.index]
        temporary_folder.remove(mark)
        if running.fixture:
            self._fixtures.leave(running.fixture, not _failed(end))
        if self._inner is None or self._only or self.stopping:
            self._write(running, end)
            return
        clean = not _failed(end) and not self._suspect
        self._checks += 1
        self._holds += not clean
        check = self._inner.clear if clean else self._inner.check
        check(running.scratch, self._folders, partial(self._checked, running, end, clean))

    def _folders(self) -> list[str]:
        return [*(other.scratch for other in self._running.values()), *self._fixtures.folders()]

    def _checked(self, running: Running, end: ProcessEnd, clean: bool, findings: Findings) -> None:
        self._checks -= 1
        self._holds -= not clean
        jobs = ", ".join(findings.leftover_jobs)
        left = f"a case that ended had left the jobs {jobs}" if jobs else ""
        reason = "; ".join(part for part in (findings.problem, left) if part)
        for other in self._running.values():
            other.disturbed = other.disturbed or reason
        self._unhealthy = self._unhealthy or findings.problem
        self._suspect = findings.suspect if not clean else self._suspect
        running.disturbed = running.disturbed or findings.problem or findings.doubt
        running.leftover_jobs = [f"job {job}" for job in findings.leftover_jobs]
        self._write(running, end)

    def _give_back(self) -> None:
        now = time.time()
        for index, case in self._waiting:
            end = ProcessEnd(case["key"], "not-started", None, None, b"", 0, b"", now, now, detail=self._unhealthy)
            self._write(Running(index, case["cores"], case["scratch"], True), end)
        self._waiting.clear()

    def _write(self, running: Running, end: ProcessEnd, ending: str = "") -> None:
        """Write how a case ended; if its payload failed, after ``STOP_NOTICE``."""
        if end.ending == "exited" and _failed(end):
            self._failures.append((time.monotonic() + STOP_NOTICE, running, end, ending))
        else:
            self._write_now(running, end, ending)

    def _write_failures(self) -> None:
        now = time.monotonic()
        while self._failures and (self.stopping or self._failures[0][0] <= now):
            _, running, end, ending = self._failures.pop(0)
            self._write_now(running, end, "terminated" if self.stopping else ending)

    def _write_now(self, running: Running, end: ProcessEnd, ending: str) -> None:
        """Write how a case ended. ``waited``: it waited for a slot, so its start says nothing about launching."""
        name = str(running.index)
        (self._folder / f"{name}.out").write_bytes(end.stdout)
        (self._folder / f"{name}.err").write_bytes(end.stderr)
        meta = {
            "ending": ending or end.ending,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "stdout_bytes": end.stdout_bytes,
            "started": end.started,
            "ended": end.ended,
            "orphan_processes": [*end.orphan_processes, *running.leftover_jobs],
            "detail": end.detail,
            "waited": running.waited,
            "disturbed": running.disturbed,
            "starved": end.starved,
            "fixture": running.fixture,
            "fixture_failed": running.fixture_failed,
        }
        _write_whole(self._folder / f"{name}.json", json.dumps(meta))


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _below(folder: str, top: str) -> bool:
    """Return whether a folder is in ``top``, whatever symbolic links lead there."""
    return folder.startswith("/") and (os.path.realpath(folder) + "/").startswith(os.path.realpath(top) + "/")


def _failed(end: ProcessEnd) -> bool:
    return end.ending != "exited" or end.exit_code != 0


def _environment(case: Mapping[str, Any], scratch: str, mark: str) -> dict[str, str]:
    """Return the environment of what a case starts, with a folder of its own for temporary files."""
    environ = payload_environment(os.environ, case["environment"])
    temporary = temporary_folder.create(scratch, mark, case["one_machine"])
    return environ if temporary is None else {**environ, temporary_folder.VARIABLE: temporary}


def _line(end: ProcessEnd) -> str:
    if end.ending == "timeout":
        return f"no answer within {COMMAND_LIMIT:g} s"
    return telling_line(end.detail or end.stderr.decode(errors="replace")) or f"exit {end.exit_code}"


def main(requests: Path) -> None:
    """Run the cases that the file describes."""
    agent = Agent(requests)

    def stop(*_: object) -> None:
        agent.stopping = True

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    agent.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
