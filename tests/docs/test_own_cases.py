"""The example repository with cases of its own runs from a folder outside the checkout, in both documented ways."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard_client.runs import RunFolder
from tests.needs import need
from tests.sdk_tests.bench import Bench

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "own-cases"
SITE = "system: test/box\ndescription: A machine for tests\nlocal: {allowed: true, cores: 4}\n"
FAILING = """

@case(payload="payloads/imports.py", component="{component}", name="missing", params={{"modules": ["no_such_module"]}})
def test_a_missing_module_is_a_failure(outcome: Outcome) -> None:
    assert outcome.answer["errors"] == {{}}
"""


class Repository:
    """A copy of the example outside the checkout, and the harness run on it.

    The bench provides the environment, with a component ``python`` that every deployment has.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my-cases"
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.bench = Bench(folder)
        self.site = folder / "site.yaml"
        self.site.write_text(SITE)
        self.module = self.folder / "test_facility.py"

    def use_the_python_component(self) -> None:
        """Replace the components of the example, so that it runs on any deployment."""
        text = self.module.read_text().replace('component="parsl"', 'component="python"')
        self.module.write_text(text.replace('["parsl", "psutil"]', '["json", "sqlite3"]'))

    def add_failing_case(self, component: str) -> None:
        self.module.write_text(self.module.read_text() + FAILING.format(component=component))

    def run(self, *command: str, deployment: str = sys.prefix) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *command, "--site-file", str(self.site), "--deployment", f"venv:{deployment}"]
        return subprocess.run(
            [*argv, "--no-upload"],
            env=self.bench.environ(),
            cwd=self.folder.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def validate(self, *arguments: str, **rest: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "exaworks_sdk", "validate", "--cases", str(self.folder), *arguments, **rest)

    def last_run(self) -> RunFolder:
        return RunFolder.open("last", self.bench.home / "runs")

    def outcomes(self) -> dict[str, str]:
        effective = self.last_run().effective()
        return {case_id: record.verdict.outcome.value for case_id, record in effective.items()}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.needs("components")
def test_the_example_passes_with_real_components(repository: Repository) -> None:
    done = repository.validate(deployment=need("components"))
    assert done.returncode == 0, done.stdout + done.stderr
    expected = ("control/hello@local", "parsl/imports@local", "psij/shared_folder@local")
    assert repository.outcomes() == dict.fromkeys(expected, "pass")


def test_a_passing_and_a_failing_case_have_their_verdicts_and_the_packaged_cases_are_not_run(
    repository: Repository,
) -> None:
    repository.use_the_python_component()
    repository.add_failing_case("python")
    done = repository.validate("--component", "python", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1
    expected = {"control/hello@local": "pass", "python/imports@local": "pass", "python/missing@local": "fail"}
    assert repository.outcomes() == expected
    run = repository.last_run()
    record = run.effective()["python/missing@local"]
    assert record.case.payload == "payloads/imports.py"
    cause = record.verdict.cause
    assert cause is not None
    assert (cause.rule, "no_such_mod" in cause.evidence) == ("package-missing", True)
    diagnosis = record.diagnosis
    assert diagnosis is not msgspec.UNSET
    assert (diagnosis.title, bool(diagnosis.expected), bool(diagnosis.got)) == (
        "the Python package no_such_module is missing in the deployment",
        True,
        True,
    )
    assert (run.private / "cases").read_text().strip() == str(repository.folder)


def test_the_same_cases_run_with_plain_pytest(repository: Repository) -> None:
    repository.use_the_python_component()
    repository.add_failing_case("python")
    pytest_options = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "--site", "test/box", "--component", "python"]
    done = repository.run(*pytest_options, "--pyargs", "sdk_tests.integration.test_control", str(repository.folder))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed" in done.stdout
    expected = {"control/hello@local": "pass", "python/imports@local": "pass", "python/missing@local": "fail"}
    assert repository.outcomes() == expected


def test_the_plan_lists_only_the_cases_of_the_folder_and_the_control_case(repository: Repository) -> None:
    repository.use_the_python_component()
    done = repository.validate("--list", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [row["case"] for row in rows] == ["control/hello@local", "python/imports@local", "psij/shared_folder@local"]


def test_an_interrupted_run_is_resumed_with_the_same_folder(repository: Repository) -> None:
    repository.use_the_python_component()
    assert repository.validate("--component", "python").returncode == 0
    run = repository.last_run()
    lines = (run.path / "records.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "python/imports@local" not in line]
    (run.path / "records.jsonl").write_text("".join(kept))
    done = repository.run("-m", "exaworks_sdk", "validate", "--resume", "last")
    assert done.returncode == 0, done.stdout + done.stderr
    assert repository.outcomes()["python/imports@local"] == "pass"


def test_a_folder_that_does_not_exist_is_named(repository: Repository) -> None:
    shutil.rmtree(repository.folder)
    done = repository.validate()
    assert done.returncode == 2
    assert f"Directory '{repository.folder}' does not exist" in done.stderr


def test_a_folder_without_a_test_module_is_named(repository: Repository) -> None:
    repository.module.unlink()
    done = repository.validate()
    assert done.returncode == 2
    assert f"{repository.folder} contains no module test_*.py" in done.stderr


@pytest.mark.parametrize("option", ["--list", "--tier=smoke"])
def test_a_folder_whose_modules_declare_no_case_is_named(repository: Repository, option: str) -> None:
    repository.module.write_text("def test_something() -> None:\n    pass\n")
    done = repository.validate(option)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{repository.folder} contains no case" in done.stderr
    assert not (repository.bench.home / "runs").exists()


def test_a_selection_that_excludes_all_cases_of_the_folder_runs_nothing(repository: Repository) -> None:
    repository.module.write_text(repository.module.read_text().replace('tier="smoke",', 'tier="scale",'))
    done = repository.validate("--tier", "smoke")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"none of the cases in {repository.folder} is planned" in done.stderr


def test_a_payload_that_does_not_exist_is_named_with_both_folders(repository: Repository) -> None:
    (repository.folder / "payloads" / "imports.py").unlink()
    done = repository.validate()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "case parsl/imports: there is no payload 'payloads/imports.py'" in done.stderr
    assert f"the folder of the test module ({repository.folder})" in done.stderr
    assert "among the packaged payloads (" in done.stderr


def test_a_packaged_payload_can_be_used(repository: Repository) -> None:
    repository.module.write_text(
        "from sdk_tests import Outcome, case\n\n\n"
        '@case(payload="control/hello.py", component="python", name="own_hello")\n'
        "def test_hello(outcome: Outcome) -> None:\n"
        '    assert outcome.answer["greeting"] == "Hello World!"\n'
    )
    done = repository.validate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert repository.outcomes() == {"control/hello@local": "pass", "python/own_hello@local": "pass"}
    selection = repository.last_run().manifest.selection
    assert selection.partial, "a complete run would remove the packaged cases from the dashboard"
