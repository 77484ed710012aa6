"""``exaworks validate`` with two deployments: one run, one plan, one report, and a record of each case in each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest

from dashboard_client.runs import RunFolder
from sdk_tests.plan.options import Options
from sdk_tests.recording.run import recorded_options, with_recorded_deployments
from tests.needs import need

pytestmark = [pytest.mark.needs("components")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two copies of the release's deployment, of hard links; the second one lacks Parsl. And a site file with both."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("first", "second"):
        subprocess.run(["cp", "-al", str(need("components")), str(folder / name)], check=True)
    (metadata,) = (folder / "second").glob("lib/python3*/site-packages/parsl-*.dist-info")
    shutil.rmtree(metadata)
    (folder / "site.yaml").write_text(
        "system: lab/box\ndescription: two deployments\nlocal: {allowed: true}\n"
        f"deployment: ['venv:{folder}/first', 'venv:{folder}/second']\npromises: [parsl]\n"
    )
    return folder


def validate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("EXAWORKS_", "SLURM", "PYTEST", "COV"))}
    command = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(folder / "site.yaml")]
    chosen = ["--case", "psij/hello", "--case", "parsl/python_app"]
    return subprocess.run(
        [*command, *(() if "--case" in arguments else chosen), *arguments],
        env={**environ, "EXAWORKS_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(folder: Path) -> subprocess.CompletedProcess[str]:
    return validate(folder)


def run_of(folder: Path) -> RunFolder:
    return RunFolder.open("last", folder / "home" / "runs")


CASES = {
    "control/hello@local": "pass",
    "parsl/python_app@local": "pass",
    "parsl/python_app@local/in:venv-second": "fail",
    "psij/hello@local": "pass",
    "psij/hello@local/in:venv-second": "pass",
}


def test_each_case_has_a_record_of_each_deployment_and_a_broken_promise_fails_the_run(
    folder: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    assert finished.returncode == 1, finished.stdout + finished.stderr
    run = run_of(folder)
    records = run.effective()
    assert {case_id: record.verdict.outcome.value for case_id, record in records.items()} == CASES
    assert {planned.scheduler for planned in run.manifest.planned} == {"local"}
    assert [deployment.name for deployment in run.manifest.deployments] == ["venv:first", "venv:second"]
    for case_id, record in records.items():
        assert record.stack.deployment is not None
        assert record.stack.deployment.name == ("venv:second" if case_id.endswith("/in:venv-second") else "venv:first")
    versions = {component.name for component in records["psij/hello@local/in:venv-second"].stack.components}
    assert "parsl" not in versions
    cause = records["parsl/python_app@local/in:venv-second"].verdict.cause
    assert cause is not None
    assert (cause.rule, "deployment venv:second" in cause.evidence) == ("promised-absent", True)


def test_terminal_junit_and_page_show_which_deployment_a_result_is_of(
    folder: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    assert "rows 'in venv-second', case ids that end in /in:venv-second" in finished.stdout
    assert "\nparsl in venv-second  1 FAIL" in finished.stdout
    run = run_of(folder)
    classes = {case.get("name"): case.get("classname") for case in parse(run.path / "junit.xml").iter("testcase")}
    assert classes["psij/hello@local/in:venv-second"] == "local.psij in venv-second"
    assert classes["psij/hello@local"] == "local.psij"
    page = (run.path / "report.html").read_text()
    assert page.count("psij in venv-second") >= 1
    assert "venv:first" in page
    assert "venv:second" in page


def test_the_plan_and_the_json_summary_name_the_deployments(folder: Path) -> None:
    listed = validate(folder, "--list", "--json")
    assert [row["case"] for row in json.loads(listed.stdout) if row["verdict"] in (None, "fail")] == list(CASES)
    summary: dict[str, Any] = json.loads(validate(folder, "--json", "--case", "psij/hello@local/in:venv-second").stdout)
    assert summary["deployments"] == ["venv:first", "venv:second"]
    assert {case["case_id"]: case["deployment"] for case in summary["cases"]} == {
        "control/hello@local": "venv:first",
        "psij/hello@local/in:venv-second": "venv:second",
    }
    assert summary["exit_code"] == 0


def test_one_of_the_site_s_deployments_alone_has_the_ids_that_it_has_in_a_run_of_all(folder: Path) -> None:
    done = validate(folder, "--deployment", f"venv:{folder}/second", "--case", "psij/hello", "--list", "--json")
    ids = [row["case"] for row in json.loads(done.stdout) if row["verdict"] is None]
    assert ids == ["control/hello@local", "psij/hello@local/in:venv-second"]


def test_a_case_of_the_second_deployment_is_run_again_in_its_own_interpreter(
    folder: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    environ = {**os.environ, "EXAWORKS_HOME": str(folder / "home")}
    (name,) = [path.name for path in (folder / "home" / "runs").iterdir() if _failed(path)]
    case = "psij/hello@local/in:venv-second"
    command = [sys.executable, "-I", "-m", "exaworks_sdk", "rerun", name, case, "--print"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder}/second/bin/python "), done.stderr


def _failed(run: Path) -> bool:
    return "fail" in {record.verdict.outcome.value for record in RunFolder(run).effective().values()}


def test_a_resumed_run_takes_the_deployments_that_the_run_was_started_with(folder: Path) -> None:
    both = ["--deployment", f"venv:{folder}/second", "--deployment", "path"]
    assert validate(folder, *both, "--case", "psij/hello*").returncode == 0
    run = run_of(folder)
    kept = recorded_options(run)
    assert kept.given == (f"venv:{folder}/second", "path")
    resumed = with_recorded_deployments(Options(resume=str(run.path)))
    assert resumed.deployments == kept.given
    assert with_recorded_deployments(Options(resume=str(run.path), deployments=("path",))).deployments == ("path",)
    assert with_recorded_deployments(Options()).deployments == ()


def test_the_options_of_a_run_of_an_earlier_version_are_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "options.json").write_text('{"site_file": null, "deployment": "venv:/x"}')
    assert recorded_options(RunFolder(tmp_path)).given == ("venv:/x",)


def test_one_that_does_not_exist_ends_with_exit_code_2_and_no_run(folder: Path) -> None:
    before = sorted((folder / "home" / "runs").glob("*"))
    done = validate(folder, "--deployment", "path", "--deployment", "venv:/nowhere")
    assert done.returncode == 2
    assert "Deployment venv:/nowhere is one of 2 of this run" in done.stderr
    assert sorted((folder / "home" / "runs").glob("*")) == before
