"""Generated pipelines in operation: gitlab-ci-local runs them with a shell, and a real collector gets the results."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from sdk_tests.testbeds import manage
from tests.ci.pipeline import BOX, LIMIT, ROOT, PipelineResult, Project, collector, read_output
from tests.needs import NEEDS, need

pytestmark = pytest.mark.needs("gitlab-ci-local", "rsync")

PROMISING = BOX + "promises: [psij]\n"
"""A deployment that lacks a promised component, so that a case fails without any software installed."""


@dataclass
class Scenario:
    """Two pipelines of one project and their results; no collector answers during the first one."""

    project: Project
    first: PipelineResult
    verdict: dict[str, Any]
    kept: set[str]
    runs: set[str]
    pushed: list[tuple[Any, ...]]
    second: PipelineResult
    delivered: list[str]
    codes: list[int]
    badge: str
    page: bool


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """Run a failing pipeline without a collector, send its spool from another folder, then run a passing root pipeline.

    In the first pipeline each job has its own work tree. gitlab-ci-local creates that tree again for an after_script,
    so the after_scripts are removed.
    """
    need("gitlab-ci-local", "rsync")
    folder = tmp_path_factory.mktemp("scenario")
    project = Project(folder, PROMISING)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    project.variables = {"EXAWORKS_COLLECTOR_URL": url, "EXAWORKS_COLLECTOR_TOKEN": "x"}
    pipeline = project.generate()
    text, number = re.subn(r"  after_script:\n(?:    .*\n)+", "", pipeline.read_text())
    assert number == 4
    pipeline.write_text(text)
    project.commit()
    first = project.run("--shell-isolation")
    verdict, kept, runs = project.verdict(), project.artifacts(), {path.name for path in project.runs.iterdir()}
    (spool,) = (path for path in (project.path / "results" / "control").iterdir() if path.is_dir())
    spool = spool.rename(folder / spool.name)

    components = NEEDS["components"].find()
    if components is not None:
        project.deployment = f"venv:{components}"
        project.variables["EXAWORKS_CI_OPTIONS"] = "--case psij/hello*"
    project.write_site(BOX)
    with collector(folder / "collector", port) as server:
        project.variables |= {"EXAWORKS_COLLECTOR_TOKEN": server.token, "SITES": "test/box"}
        done = project.exaworks("results", "push", f"{spool}/", "--to", url)
        assert done.returncode == 0, done.stderr
        pushed = server.rows("SELECT run_id FROM runs")
        done = project.exaworks("ci", "generate", "--all", "--to", ".")
        assert done.returncode == 0, done.stderr
        project.commit()
        second = project.run()
        delivered = [row[0] for row in server.rows("SELECT run_id FROM runs")]
        codes = [row[0] for row in server.rows("SELECT exit_code FROM runs ORDER BY started")]
        comment = (project.path / "results" / "verdict.md").read_text()
        badge, page = re.findall(rf"{re.escape(server.url)}[^)]+", comment.rpartition("[![")[2])
        image, page_ok = requests.get(badge, timeout=30).text, requests.get(page, timeout=30).ok
    return Scenario(project, first, verdict, kept, runs, pushed, second, delivered, codes, image, page_ok)


def test_a_failing_case_makes_the_pipeline_and_the_dashboard_red(scenario: Scenario) -> None:
    result = scenario.first
    assert result.code == 1, result.output
    assert (result.jobs["control"], result.jobs["smoke"]) == ("PASS", "WARN"), result.output
    assert result.jobs["verdict"] == "FAIL"
    assert scenario.verdict["matrix"]["psij"] == {"local": "fail"}
    assert [name for name in scenario.kept if re.fullmatch("results/smoke/[^/]+/report.html", name)]
    assert not [name for name in scenario.kept if "private" in name]
    assert scenario.codes[:2] == [0, 1], "the exit codes on the dashboard"


def test_jobs_without_a_shared_folder_pass_on_their_results_as_artifacts(scenario: Scenario) -> None:
    judged = {stage["stage"]: (stage["result"], stage["text"]) for stage in scenario.verdict["stages"]}
    assert judged["setup"] == ("pass", "done"), scenario.first.output
    assert judged["control"] == ("pass", "1 pass"), scenario.first.output
    assert judged["smoke"][0] == "fail"
    assert "1 pass" in judged["smoke"][1], "it ran, since the results of control were there"
    assert "results/verdict.json" in scenario.kept


@pytest.mark.needs("components")
def test_a_collector_that_does_not_answer_is_a_warning_and_the_next_pipeline_delivers(scenario: Scenario) -> None:
    assert scenario.first.jobs["deliver"] == "WARN"
    assert "a later pipeline delivers them" in scenario.first.output
    spools = [name for name in scenario.kept if name.endswith("records.jsonl")]
    assert {Path(name).parts[2] for name in spools} == scenario.runs, "the artifacts have them as well"
    assert scenario.second.jobs["deliver"] == "PASS", scenario.second.output
    assert scenario.runs < set(scenario.delivered)
    assert len(scenario.delivered) == 4, "each run is delivered once"
    assert scenario.codes == [0, 1, 0, 0]


def test_a_spool_from_the_artifacts_can_be_sent_from_anywhere(scenario: Scenario) -> None:
    ((run,),) = scenario.pushed
    assert run in scenario.runs


@pytest.mark.needs("components")
def test_a_passing_run_reaches_the_collector_through_the_root_pipeline_and_its_child(scenario: Scenario) -> None:
    result, project = scenario.second, scenario.project
    assert result.code == 0, result.output
    stages = ("generate", "test-box", "setup", "control", "smoke", "deliver", "verdict", "cleanup")
    assert {name: result.jobs.get(name) for name in stages} == dict.fromkeys(stages, "PASS"), result.output
    assert project.verdict()["result"] == "pass"
    assert "anl-aurora" not in result.jobs, "SITES chose one system"
    new = {path.name for path in project.runs.iterdir()} - scenario.runs
    assert len(new) == 2
    assert new < set(scenario.delivered)
    assert "test/box: pass" in scenario.badge
    assert scenario.page
    kept = project.artifacts()
    assert {f"results/smoke/{run}/report.html" for run in new} & kept
    assert not [name for name in kept if "private" in name]
    assert re.search(r"pass rate: 100\.0%", result.output)
    assert project.verdict()["matrix"] == {"control": {"local": "pass"}, "psij": {"local": "pass"}}


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_a_broken_site_is_a_warning_or_a_failure_as_its_file_requires(tmp_path: Path) -> None:
    """The nodes of a real Slurm are drained, so no job starts; the stages after the control stage are not run."""
    testbeds = tmp_path / "testbeds"
    testbed = manage.up("slurm", testbeds, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        project = Project(tmp_path)
        drain = ["scontrol", "update", "NodeName=n[1-2]", "State=DRAIN", "Reason=test"]
        subprocess.run(drain, env=manage.environment(testbed, project.environ), check=True, capture_output=True)
        spec = msgspec.json.encode([msgspec.to_builtins(testbed.scheduler)]).decode()
        site = BOX.replace("allowed: true", "allowed: false") + "limits: {queue_wait: 00:00:03}\nci: {infra: warn}\n"
        project.write_site(f"{site}schedulers: {spec}\n")
        project.variables = manage.environment(testbed, {"PATH": os.environ["PATH"]})
        project.generate()
        result = project.run("setup", "control", "smoke", "verdict")
        assert result.code == 0, result.output
        assert (result.jobs["control"], result.jobs["smoke"]) == ("WARN", "WARN")
        assert result.jobs["verdict"] == "PASS"
        assert "smoke is not run: control did not pass" in result.output
        assert {f["stage"]: f["result"] for f in project.verdict()["stages"]} == {
            "setup": "pass",
            "control": "infra",
            "smoke": "infra",
        }
        project.write_site(f"{site.replace('warn', 'fail')}schedulers: {spec}\n")
        assert project.exaworks("ci", "verdict", "--site", "test/box", "--tier", "smoke").returncode == 3
    finally:
        manage.down(testbeds, testbed.id)


@pytest.mark.slow
def test_a_cancelled_job_ends_its_processes_and_its_run_is_interrupted(tmp_path: Path) -> None:
    """The job is cancelled as a runner does it, with a signal to its process group."""
    project = Project(tmp_path, deployment=f"venv:{need('components')}")
    # Enough cases, so that the run does not end before the signal arrives.
    project.variables = {"EXAWORKS_CI_OPTIONS": "--tier integration --case psij/* --case parsl/*"}
    project.generate()
    process = project.start("setup", "control", "smoke", "verdict")
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "to run" in line and "smoke" in line:
            break
    stages = [os.pidfd_open(pid) for pid in _alive_with("ci stage smoke")]
    assert stages, lines
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT)
    for stage in stages:
        assert select.select([stage], [], [], LIMIT)[0], "the stage did not end after the signal"
        os.close(stage)
    result = read_output(process.returncode, "".join(lines) + output)
    assert result.code != 0, result.output
    (newest,) = sorted(project.runs.iterdir())[1:]
    manifest = _closed(newest)
    assert manifest["closed"]["state"] == "interrupted", result.output
    assert manifest["closed"]["exit_code"] == 130
    assert manifest["closed"]["missing"] == 0, "a planned case has no record"
    assert (project.path / "results" / "smoke" / newest.name / "manifest.json").is_file()
    assert not _alive_with(str(newest)), "a payload is still running"


def _closed(run: Path) -> dict[str, dict[str, object]]:
    manifest: dict[str, dict[str, object]] = json.loads((run / "manifest.json").read_bytes())
    return manifest


def _alive_with(text: str) -> list[int]:
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                pids.append(int(path.parent.name))
        except OSError:
            continue
    return pids


def test_the_six_lines_in_the_readme_run_the_sdk_from_the_given_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK is a repository with the pipelines of this project and a simple program instead of its command."""
    (lines,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "ci" / "README.md").read_text(), re.DOTALL)
    assert len(lines.splitlines()) == 6
    (tmp_path / "sdk").mkdir()
    sdk, own = Project(tmp_path / "sdk"), Project(tmp_path)
    shutil.copytree(ROOT / "ci" / "pipelines", sdk.path / "ci" / "pipelines")
    shutil.copy(sdk.program, sdk.path / "exaworks")
    sdk.commit()
    with_address = lines.replace("https://gitlab.example.org/exaworks/sdk.git", str(sdk.path))
    (own.path / ".gitlab-ci.yml").write_text(with_address.replace("llnl/dane", "local/workstation"))
    own.commit()
    for name, value in {
        "COUNT": "1",
        "KEY_0": f"url.{sdk.path}.insteadOf",
        "VALUE_0": "https://gitlab.example.org:443/exaworks/sdk.git",
    }.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    own.unset = ("EXAWORKS",)
    result = own.run("setup")
    assert result.jobs == {"setup": "PASS"}, result.output
    home = own.home / "local-workstation"
    assert (home / "sdk" / "exaworks").read_text() == sdk.program.read_text()
    assert json.loads((own.path / "results" / "setup" / "stage.json").read_bytes())["exit_code"] == 0
