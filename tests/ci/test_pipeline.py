"""Generated pipelines, run for real: gitlab-ci-local executes them with a shell, against a live collector."""

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
from tests.ci.pipeline import BOX, LIMIT, ROOT, Ended, Project, collector, ended
from tests.needs import NEEDS, need

pytestmark = pytest.mark.needs("gitlab-ci-local", "rsync")

PROMISING = BOX + "promises: [psij]\n"
"""A deployment that lacks what it promises fails, and needs nothing to be installed to do so."""


@dataclass
class Story:
    """Two pipelines of one project, the first while no collector answers, and what was there after each."""

    project: Project
    first: Ended
    verdict: dict[str, Any]
    kept: set[str]
    runs: set[str]
    pushed: list[tuple[Any, ...]]
    second: Ended
    delivered: list[str]
    codes: list[int]
    badge: str
    page: bool


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A red pipeline without a collector; its spool pushed from elsewhere; then a green one by way of the root's.

    In the first, each job has a tree of its own. That tree is made anew for an after_script, so those are left out.
    """
    need("gitlab-ci-local", "rsync")
    folder = tmp_path_factory.mktemp("story")
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
        told = (project.path / "results" / "verdict.md").read_text()
        badge, page = re.findall(rf"{re.escape(server.url)}[^)]+", told.rpartition("[![")[2])
        drawn, there = requests.get(badge, timeout=30).text, requests.get(page, timeout=30).ok
    return Story(project, first, verdict, kept, runs, pushed, second, delivered, codes, drawn, there)


def test_a_failing_case_makes_the_pipeline_red_and_the_dashboard_too(story: Story) -> None:
    result = story.first
    assert result.code == 1, result.output
    assert (result.jobs["control"], result.jobs["smoke"]) == ("PASS", "WARN"), result.output
    assert result.jobs["verdict"] == "FAIL"
    assert story.verdict["matrix"]["psij"] == {"local": "fail"}
    assert [name for name in story.kept if re.fullmatch("results/smoke/[^/]+/report.html", name)]
    assert not [name for name in story.kept if "private" in name]
    assert story.codes[:2] == [0, 1], "as the dashboard has it"


def test_jobs_that_share_no_folder_hand_on_their_results_as_artifacts(story: Story) -> None:
    judged = {stage["stage"]: (stage["result"], stage["text"]) for stage in story.verdict["stages"]}
    assert judged["setup"] == ("pass", "done"), story.first.output
    assert judged["control"] == ("pass", "1 pass"), story.first.output
    assert judged["smoke"][0] == "fail"
    assert "1 pass" in judged["smoke"][1], "it ran, since it saw that control had passed"
    assert "results/verdict.json" in story.kept


@pytest.mark.needs("components")
def test_a_dead_collector_is_a_warning_and_the_next_pipeline_delivers_its_spool(story: Story) -> None:
    assert story.first.jobs["deliver"] == "WARN"
    assert "a later pipeline delivers them" in story.first.output
    spools = [name for name in story.kept if name.endswith("records.jsonl")]
    assert {Path(name).parts[2] for name in spools} == story.runs, "in the artifacts, too"
    assert story.second.jobs["deliver"] == "PASS", story.second.output
    assert story.runs < set(story.delivered)
    assert len(story.delivered) == 4, "each once"
    assert story.codes == [0, 1, 0, 0]


def test_a_spool_carried_off_in_the_artifacts_can_be_pushed_from_anywhere(story: Story) -> None:
    ((run,),) = story.pushed
    assert run in story.runs


@pytest.mark.needs("components")
def test_a_green_run_goes_through_generate_and_a_child_and_reaches_the_collector(story: Story) -> None:
    result, project = story.second, story.project
    assert result.code == 0, result.output
    stages = ("generate", "test-box", "setup", "control", "smoke", "deliver", "verdict", "cleanup")
    assert {name: result.jobs.get(name) for name in stages} == dict.fromkeys(stages, "PASS"), result.output
    assert project.verdict()["result"] == "pass"
    assert "anl-aurora" not in result.jobs, "SITES chose one system"
    new = {path.name for path in project.runs.iterdir()} - story.runs
    assert len(new) == 2
    assert new < set(story.delivered)
    assert "test/box: pass" in story.badge
    assert story.page
    kept = project.artifacts()
    assert {f"results/smoke/{run}/report.html" for run in new} & kept
    assert not [name for name in kept if "private" in name]
    assert re.search(r"pass rate: 100\.0%", result.output)
    assert project.verdict()["matrix"] == {"control": {"local": "pass"}, "psij": {"local": "pass"}}


@pytest.mark.slow
@pytest.mark.needs("slurm", "munge")
def test_a_broken_site_is_a_warning_or_red_as_its_file_says_and_the_sdks_cases_are_not_blamed(tmp_path: Path) -> None:
    """A real Slurm whose nodes are drained starts nothing; what follows the control case is withheld."""
    beds = tmp_path / "beds"
    bed = manage.up("slurm", beds, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        project = Project(tmp_path)
        drain = ["scontrol", "update", "NodeName=n[1-2]", "State=DRAIN", "Reason=test"]
        subprocess.run(drain, env=manage.environment(bed, project.environ), check=True, capture_output=True)
        spec = msgspec.json.encode([msgspec.to_builtins(bed.scheduler)]).decode()
        site = BOX.replace("allowed: true", "allowed: false") + "limits: {queue_wait: 00:00:03}\nci: {infra: warn}\n"
        project.write_site(f"{site}schedulers: {spec}\n")
        project.variables = manage.environment(bed, {"PATH": os.environ["PATH"]})
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
        manage.down(beds, bed.id)


@pytest.mark.slow
def test_a_cancelled_job_ends_what_it_started_and_its_run_is_interrupted(tmp_path: Path) -> None:
    """The job is cancelled as a runner does it, by a signal to its process group."""
    project = Project(tmp_path, deployment=f"venv:{need('components')}")
    # enough cases that the run is not over before the signal comes
    project.variables = {"EXAWORKS_CI_OPTIONS": "--tier integration --case psij/* --case parsl/*"}
    project.generate()
    process = project.start("setup", "control", "smoke", "verdict")
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if "to run" in line and "smoke" in line:
            break
    stages = [os.pidfd_open(pid) for pid in _alive_with("ci stage smoke")]
    assert stages, seen
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT)
    for stage in stages:
        assert select.select([stage], [], [], LIMIT)[0], "the stage ends by itself"
        os.close(stage)
    result = ended(process.returncode, "".join(seen) + output)
    assert result.code != 0, result.output
    (newest,) = sorted(project.runs.iterdir())[1:]
    manifest = _closed(newest)
    assert manifest["closed"]["state"] == "interrupted", result.output
    assert manifest["closed"]["exit_code"] == 130
    assert manifest["closed"]["missing"] == 0, "every planned case has a record"
    assert (project.path / "results" / "smoke" / newest.name / "manifest.json").is_file()
    assert not _alive_with(str(newest)), "no payload is left behind"


def _closed(run: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((run / "manifest.json").read_bytes())
    return found


def _alive_with(text: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_the_six_lines_that_the_readme_shows_run_the_sdk_from_the_address_they_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other project is a repository with the pipelines of this one, and a stand-in for its command."""
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
