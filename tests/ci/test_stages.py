"""Stages, verdict and delivery, as a pipeline runs them."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci.phases import planned
from ci.render import as_markdown
from ci.results import OUTBOX, read_stage
from ci.stage import StageRequest, run
from ci.verdict import Result, judge
from exaworks_sdk.paths import Places
from site_configs.load import load_text
from tests.ci.pipeline import BOX, EXAWORKS, Project, collector

SYSTEM = load_text(BOX.replace("DEPLOYMENT", "path"), "test")
PLANNED = planned(SYSTEM, "smoke", scheduled=False)


class Results:
    """A results folder as stages write it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(self, name: str, *, code: int | None = 0, state: str = "ended", runs: tuple[str, ...] = ()) -> None:
        tests = name not in ("setup", "install")
        content = {"stage": name, "system": "test/box", "tests": tests, "command": ["x"], "started": "now"}
        content |= {"state": state, "exit_code": code, "runs": list(runs), "reason": "control did not pass"}
        path = self.folder / name / "stage.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def run(self, stage: str, code: int, outcomes: dict[str, str], *, closed: bool = True, attempt: int = 1) -> str:
        name = f"run-{stage}"
        cases = [{"case_id": f"{c}@local", "component": c, "scheduler": "local"} for c in outcomes]
        counts = {outcome: list(outcomes.values()).count(outcome) for outcome in set(outcomes.values())}
        closing = {"exit_code": code, "state": "complete", "counts": counts, "missing": counts.pop("missing", 0)}
        manifest = {"run_id": name, "site": "test", "system": "box", "planned": cases}
        folder = self.folder / stage / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({**manifest, "closed": closing if closed else None}))
        records = [
            {"case_id": f"{c}@local", "verdict": {"outcome": o}, "retries": {"attempt": attempt}}
            for c, o in outcomes.items()
            if o != "missing"
        ]
        (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        self.stage(stage, code=code, runs=(name,))
        return name

    def verdict(self, infra: str = "fail") -> Any:
        return judge("test/box", PLANNED, self.folder, infra)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    results.stage("setup")
    results.run("control", 0, {"control": "pass"})
    results.run("smoke", 0, {"control": "pass", "psij": "pass"})
    return results


def stage_results(verdict: Any) -> dict[str, Result]:
    return {finding.stage: finding.result for finding in verdict.stages}


def test_if_all_stages_pass_the_verdict_is_a_pass(results: Results) -> None:
    verdict = results.verdict()
    assert verdict.result is Result.PASS
    assert verdict.exit_code == 0
    assert verdict.pass_rate == 100


def test_a_stage_without_results_fails(results: Results) -> None:
    (results.folder / "smoke" / "stage.json").unlink()
    assert stage_results(results.verdict())["smoke"] is Result.FAIL
    assert results.verdict().exit_code == 1


def test_a_missing_manifest_fails_whatever_the_exit_code_was(results: Results) -> None:
    (results.folder / "smoke" / "run-smoke" / "manifest.json").unlink()
    assert results.verdict().exit_code == 1
    results.stage("smoke", code=0, runs=())
    assert results.verdict().exit_code == 1


def test_a_truncated_manifest_fails(results: Results) -> None:
    path = results.folder / "smoke" / "run-smoke" / "manifest.json"
    path.write_text(path.read_text()[:-20])
    assert results.verdict().exit_code == 1


def test_a_run_that_was_not_closed_fails(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.stage("setup")
    results.run("control", 0, {"control": "pass"})
    results.run("smoke", 0, {"psij": "pass", "parsl": "missing"}, closed=False)
    verdict = results.verdict()
    assert stage_results(verdict)["smoke"] is Result.FAIL
    assert "1 of 2 cases recorded" in verdict.stages[-1].text


def test_the_exit_code_in_the_manifest_counts_and_that_of_the_job_does_not(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.stage("setup")
    results.run("control", 0, {"control": "pass"})
    name = results.run("smoke", 3, {"psij": "infra", "control": "pass"})
    results.stage("smoke", code=1, runs=(name,))
    assert results.verdict("fail").result is Result.INFRA
    assert results.verdict("fail").exit_code == 3
    assert results.verdict("warn").exit_code == 0
    assert results.verdict("warn").pass_rate == 0, "no component passed"


def test_the_pass_rate_counts_the_cases_of_components_that_ran(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.run("control", 0, {"control": "pass"})
    assert results.verdict().pass_rate == 100
    results.run("smoke", 1, {"control": "pass", "psij": "pass", "parsl": "missing", "flux": "skip"})
    assert results.verdict().pass_rate == 50


def test_a_passed_run_with_a_failed_command_is_not_a_pass(results: Results) -> None:
    results.stage("smoke", code=1, runs=("run-smoke",))
    assert results.verdict().exit_code == 1


def test_a_failure_together_with_an_infrastructure_failure_is_a_failure(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.stage("setup")
    results.run("control", 3, {"control": "infra"})
    results.run("smoke", 1, {"psij": "fail"})
    assert results.verdict("warn").exit_code == 1


def test_a_withheld_stage_has_the_result_of_the_stage_before_it(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.stage("setup")
    results.run("control", 3, {"control": "infra"})
    results.stage("smoke", state="withheld", code=None)
    assert results.verdict("warn").exit_code == 0
    results.run("control2", 1, {"control": "fail"})
    (results.folder / "control2").rename(results.folder / "control-failed")
    results.stage("control", code=1, runs=())
    assert results.verdict("warn").exit_code == 1


def test_the_matrix_shows_the_worst_outcome_of_all_stages_by_the_last_attempt(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.stage("setup")
    results.run("control", 0, {"control": "pass"})
    results.run("smoke", 1, {"control": "pass", "psij": "fail", "parsl": "missing"})
    records = results.folder / "smoke" / "run-smoke" / "records.jsonl"
    later = {"case_id": "psij@local", "verdict": {"outcome": "pass"}, "retries": {"attempt": 2}}
    records.write_text(json.dumps(later) + "\n" + records.read_text() + '{"torn')
    assert results.verdict().matrix == {
        "control": {"local": "pass"},
        "psij": {"local": "pass"},
        "parsl": {"local": "missing"},
    }


def test_the_comment_shows_the_collectors_badge_and_links_the_systems_page(results: Results, tmp_path: Path) -> None:
    text = as_markdown(results.verdict(), {"dashboard": "https://s.example.org/systems/test/box"}, "https://s/b.svg")
    assert "[![status of test/box](https://s/b.svg)](https://s.example.org/systems/test/box)" in text
    assert "badge" not in as_markdown(results.verdict(), {})


def test_the_comment_lists_each_cause_once_with_the_number_of_its_cases(tmp_path: Path) -> None:
    """A record of schema 1 has no diagnosis; its evidence stands for the cause."""
    results = Results(tmp_path)
    results.stage("setup")
    results.run("smoke", 1, {"parsl": "fail", "psij": "fail", "flux": "fail", "control": "pass"})
    full = {"cause_key": "disk-full", "title": "a file system | is full", "advice": "make room"}
    cause = {"rule": "disk-full", "class": "site", "evidence": "No space left on device"}
    records = [
        {"case_id": f"{name}@local", "verdict": {"outcome": "fail", "cause": cause}, "retries": {"attempt": 1}}
        for name in ("parsl", "psij", "flux")
    ]
    records[0]["diagnosis"] = records[1]["diagnosis"] = full
    path = results.folder / "smoke" / "run-smoke" / "records.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    verdict = results.verdict()
    assert [(each.title, each.cases) for each in verdict.causes] == [
        ("a file system | is full", ["parsl@local", "psij@local"]),
        ("No space left on device", ["flux@local"]),
    ]
    text = as_markdown(verdict, {})
    assert "| a file system \\| is full | site | 2 | make room |" in text
    assert "| No space left on device | site | 1 |  |" in text


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def stage(project: Project, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return project.exaworks("ci", "stage", name, "--site", "test/box", *arguments)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, subprocess.CompletedProcess[str]]:
    """Return a project in which the control stage has run, and the result of the command."""
    project = Project(tmp_path_factory.mktemp("original"))
    done = stage(project, "control", "--", "validate", "--component", "control")
    assert done.returncode == 0, done.stdout + done.stderr
    return project, done


@pytest.fixture
def controlled(original: tuple[Project, object], project: Project) -> Project:
    """Return a copy of the original project, which a test may change."""
    shutil.copytree(original[0].home, project.home)
    shutil.copytree(original[0].path / "results", project.path / "results")
    return project


def test_a_stage_keeps_the_outbox_of_its_run_and_nothing_private(
    original: tuple[Project, subprocess.CompletedProcess[str]],
) -> None:
    project, done = original
    (run,) = (path for path in (project.path / "results" / "control").iterdir() if path.is_dir())
    assert {path.name for path in run.iterdir()} == set(OUTBOX)
    assert (run / "records.jsonl").read_bytes() == (project.runs / run.name / "records.jsonl").read_bytes()
    assert "--no-upload" in done.stdout, "delivery is a separate stage"
    junit = (project.path / "results" / "control" / "stage.xml").read_text()
    assert 'name="control"' in junit
    assert "failure" not in junit.replace('failures="0"', "")


def test_a_stage_returns_the_commands_exit_code_and_writes_it_to_junit(project: Project) -> None:
    done = stage(project, "setup", "--", "sites", "show", "no/such")
    assert done.returncode == 2
    assert "exit code 2" in (project.path / "results" / "setup" / "stage.xml").read_text()


def test_a_stage_is_not_run_if_the_stage_before_has_no_results(project: Project) -> None:
    done = stage(project, "smoke", "--after", "control", "--", "validate", "--tier", "smoke")
    assert done.returncode == 1
    assert "smoke is not run: control has no results" in done.stdout
    assert not project.runs.exists() or not list(project.runs.iterdir())


def test_a_locked_stage_waits_for_the_other_pipeline(project: Project) -> None:
    home = project.home / "test-box"
    home.mkdir(parents=True)
    with (home / "ci.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [*EXAWORKS, "ci", "stage", "setup", "--site", "test/box", "--lock", "--", "sites", "list"],
            cwd=project.path,
            env={**project.environ, "EXAWORKS_HOME": str(home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert "waiting for another pipeline" in process.stdout.readline()
        assert process.poll() is None
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "test/box" in rest


def test_a_stage_counts_as_ended_only_when_its_results_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nobody would copy those of a stage that is killed in between."""
    places = Places(home=tmp_path / "home", checkout=None)
    request = StageRequest("smoke", "test/box", ("validate",), tmp_path / "results")
    states: list[tuple[str, list[str]]] = []

    def command(*_: object) -> int:
        (places.runs / "run-1").mkdir(parents=True)
        (places.runs / "run-1" / "manifest.json").write_text('{"site": "test", "system": "box"}')
        return 3

    def copy(runs: Path, folder: Path, names: list[str]) -> None:
        stage = read_stage(folder)
        assert stage is not None
        states.append((stage.state, names))

    monkeypatch.setattr("ci.stage._command", command)
    monkeypatch.setattr("ci.stage.copy_outbox", copy)
    assert run(request, places, {}, print) == 3
    assert states == [("started", ["run-1"])]
    stage = read_stage(request.folder)
    assert stage is not None
    assert (stage.state, stage.exit_code, stage.runs) == ("ended", 3, ["run-1"])


def test_the_results_of_a_stage_that_was_killed_can_still_be_collected(controlled: Project) -> None:
    project = controlled
    file = project.path / "results" / "control" / "stage.json"
    state = json.loads(file.read_bytes())
    file.write_text(json.dumps({**state, "state": "started", "exit_code": None, "runs": []}))
    for path in (project.path / "results" / "control").iterdir():
        if path.is_dir():
            for copied in path.iterdir():
                copied.unlink()
            path.rmdir()
    assert project.exaworks("ci", "collect", "control").returncode == 0
    (run,) = (path for path in (project.path / "results" / "control").iterdir() if path.is_dir())
    assert (run / "manifest.json").is_file()
    assert json.loads(file.read_bytes())["state"] == "started", "the verdict must know that the stage did not end"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_ends_with_the_stage(project: Project, number: signal.Signals) -> None:
    home = project.home / "test-box"
    process = subprocess.Popen(
        [*EXAWORKS, "ci", "stage", "setup", "--site", "test/box", "--", "collector", "serve", "--port", "0"],
        cwd=project.path,
        env={**project.environ, "EXAWORKS_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "collector at" in process.stderr.readline()
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ends = os.pidfd_open(int(child))
    process.send_signal(number)
    assert select.select([ends], [], [], 60)[0], "the collector is still running"
    os.close(ends)
    process.stderr.close()
    assert process.wait(60) == (130 if number == signal.SIGTERM else -signal.SIGKILL)


def test_a_run_is_delivered_once_with_the_stored_token_and_removed_only_after_that(
    controlled: Project, tmp_path: Path
) -> None:
    """The collector refuses the ID token, so the stored token is used."""
    project = controlled
    (run,) = project.runs.iterdir()
    os.utime(run / "manifest.json", (0, 0))
    assert project.exaworks("ci", "cleanup", "--site", "test/box").returncode == 0
    assert run.exists(), "no collector has the run yet"
    with collector(tmp_path / "collector") as server:
        project.variables = {
            "EXAWORKS_COLLECTOR_URL": server.url,
            "EXAWORKS_ID_TOKEN": "an.identity.that-it-does-not-know",
            "EXAWORKS_COLLECTOR_TOKEN": server.token,
        }
        first = project.exaworks("ci", "deliver", "--site", "test/box")
        assert first.returncode == 0, first.stdout + first.stderr
        assert len(server.rows("SELECT 1 FROM runs")) == 1
        assert "has every run" in project.exaworks("ci", "deliver", "--site", "test/box").stdout
        assert server.token not in first.stdout + first.stderr
    assert project.exaworks("ci", "cleanup", "--site", "test/box").returncode == 0
    assert not run.exists()
