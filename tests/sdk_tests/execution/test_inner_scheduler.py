"""The agent's check of the scheduler inside an allocation, with commands that a test answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdk_tests.execution import agent
from sdk_tests.execution.agent import Findings, InnerScheduler
from sdk_tests.execution.process_table import ProcessEnd

COMMANDS = {name: [name] for name in ("list", "cancel", "try", "busy")}


class Inner:
    """A scheduler of a few jobs; each command is answered at once.

    jobs: folder by id. ends: the ending of a command that does not exit with 0. stubborn: jobs survive a cancellation.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.ends: dict[str, tuple[str, int | None]] = {}
        self.busy = 0
        self.stubborn = False
        self.commands: list[str] = []
        self.running: list[str] = []

    def spawn(
        self, _: str, argv: list[str], _env: Any, _cwd: str, _limit: float, done: Callable[[ProcessEnd], None]
    ) -> None:
        name, ids = argv[0], argv[1:]
        self.commands.append(name)
        time.sleep(0.01)  # the answer comes later than the question, so that a limit can pass
        if name == "cancel" and not self.stubborn:
            for job in ids:
                self.jobs.pop(job, None)
        printed = {
            "list": "".join(f"{job} {folder}\n" for job, folder in self.jobs.items()),
            "busy": f"{self.busy}\n0\n",
        }
        ending, code = self.ends.get(name, ("exited", 0))
        errors = b"" if code == 0 else b"flux-run: ERROR: broken\n"
        out = printed.get(name, "").encode()
        done(ProcessEnd(name, ending, code, None, out, len(out), errors, 0.0, 0.0))

    def check(self, scratch: str, *, clean: bool = False) -> Findings:
        processes: Any = self
        scheduler = InnerScheduler(COMMANDS, processes, "/job")
        findings: list[Findings] = []
        (scheduler.clear if clean else scheduler.check)(scratch, lambda: self.running, findings.append)
        (only,) = findings
        return only


@pytest.fixture
def inner(monkeypatch: pytest.MonkeyPatch) -> Inner:
    monkeypatch.setattr(agent, "CANCEL_LIMIT", 0.1)
    return Inner()


def test_a_healthy_scheduler_is_listed_tried_and_counted(inner: Inner) -> None:
    assert inner.check("/scratch/1") == Findings()
    assert inner.commands == ["list", "try", "busy"]


def test_only_the_jobs_below_the_folder_of_the_ended_case_are_cancelled_while_others_run(inner: Inner) -> None:
    inner.jobs = {"f1": "/scratch/1", "f2": "/scratch/1/deeper", "f3": "/scratch/10", "f4": "/scratch/2"}
    inner.running = ["/scratch/10", "/scratch/2"]
    assert inner.check("/scratch/1").leftover_jobs == ["f1", "f2"]
    assert inner.jobs == {"f3": "/scratch/10", "f4": "/scratch/2"}


def test_a_folder_is_recognised_through_a_symbolic_link(inner: Inner, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    inner.jobs = {"f1": str(tmp_path / "real")}
    assert inner.check(str(tmp_path / "link")).leftover_jobs == ["f1"]


def test_without_another_case_every_job_is_left_over_and_the_ended_case_is_in_doubt(inner: Inner) -> None:
    inner.jobs = {"f1": "/elsewhere"}
    findings = inner.check("/scratch/1")
    assert (findings.leftover_jobs, findings.problem) == (["f1"], "")
    assert findings.doubt == "job f1 in /elsewhere belonged to no case that ran"


def test_a_job_of_unknown_owner_stays_while_another_case_runs(inner: Inner) -> None:
    inner.jobs, inner.running = {"f1": "/elsewhere"}, ["/scratch/2"]
    findings = inner.check("/scratch/1")
    assert (findings.leftover_jobs, inner.jobs) == ([], {"f1": "/elsewhere"})
    assert findings.doubt == "job f1 in /elsewhere belonged to no case that ran"


def test_after_a_case_that_ended_well_its_jobs_are_cancelled_and_nothing_is_tried(inner: Inner) -> None:
    inner.jobs = {"f1": "/scratch/1", "f2": "/elsewhere"}
    assert inner.check("/scratch/1", clean=True).leftover_jobs == ["f1"]
    assert (inner.jobs, inner.commands) == ({"f2": "/elsewhere"}, ["list", "cancel", "list"])


@pytest.mark.parametrize(
    ("command", "end", "problem"),
    [
        ("list", ("timeout", None), "its jobs cannot be listed: no answer within 15 s"),
        ("list", ("exited", 1), "its jobs cannot be listed: flux-run: ERROR: broken"),
        ("try", ("timeout", None), "a job of one core does not run: no answer within 15 s"),
        ("try", ("exited", 1), "a job of one core does not run: flux-run: ERROR: broken"),
    ],
)
def test_a_scheduler_that_does_not_work_is_a_problem(
    inner: Inner, command: str, end: tuple[str, int | None], problem: str
) -> None:
    inner.ends[command] = end
    assert inner.check("/scratch/1").problem == problem


def test_a_job_that_waits_while_other_cases_run_is_a_doubt_to_be_resolved_later(inner: Inner) -> None:
    inner.ends["try"], inner.running = ("timeout", None), ["/scratch/2"]
    findings = inner.check("/scratch/1")
    assert (findings.problem, findings.suspect) == ("", True)
    assert findings.doubt == "a job of one core does not run: no answer within 15 s, while other cases run"


def test_a_job_that_is_refused_is_a_problem_even_while_other_cases_run(inner: Inner) -> None:
    inner.ends["try"], inner.running = ("exited", 1), ["/scratch/2"]
    assert inner.check("/scratch/1").problem == "a job of one core does not run: flux-run: ERROR: broken"


def test_jobs_that_cannot_be_cancelled_are_a_problem(inner: Inner) -> None:
    inner.jobs, inner.stubborn = {"f1": "/scratch/1"}, True
    assert inner.check("/scratch/1").problem == "jobs f1 of ended cases cannot be cancelled"


def test_cores_that_stay_busy_without_a_case_are_a_problem(inner: Inner) -> None:
    inner.busy = 3
    assert inner.check("/scratch/1").problem == "3 cores are not free although no case runs"


def test_cores_are_not_counted_while_other_cases_use_them(inner: Inner) -> None:
    inner.busy, inner.running = 3, ["/scratch/2"]
    assert inner.check("/scratch/1") == Findings()
    assert "busy" not in inner.commands
