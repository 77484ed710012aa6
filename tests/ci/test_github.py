"""The workflows of GitHub Actions are current and valid, run GitLab's commands, and run here as far as they can.

GitHub is not reachable: the scripts of the steps run with the shell that GitHub documents, its actions do not.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from ci import github_cases, github_checks
from ci.generate import all_files, github_files
from ci.github_cases import cases_yaml
from ci.results import OUTBOX
from ci.stage import trigger
from ci.system import tags
from exaworks_sdk.cli import main
from site_configs.load import find, load_text, systems
from tests.ci.github_schema import actionlint, invalid
from tests.ci.pipeline import BOX, LIMIT, ROOT, Project, environ
from tests.ci.test_generate import JACAMAR, jobs_of
from tests.needs import need

SYSTEMS = [system for system in systems({}) if system.state.value == "active"]
FILES = github_files(systems({}))


def tree_of(text: str) -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return tree


def steps_of(text: str) -> list[dict[str, Any]]:
    return [step for job in tree_of(text)["jobs"].values() for step in job["steps"]]


def scripts_of(steps: list[dict[str, Any]]) -> list[str]:
    return [step["run"] for step in steps if "run" in step]


def workflows() -> list[str]:
    """Return every workflow: the two committed ones, and that of own cases for every active system."""
    return [*FILES.values(), *(cases_yaml(system) for system in SYSTEMS)]


def test_the_committed_workflows_are_current() -> None:
    assert set(FILES) == {github_checks.PATH, github_cases.PATH}
    for name, text in FILES.items():
        assert (ROOT / name).read_text() == text, f"{name}: run `exaworks ci generate --all`"


def test_check_names_a_workflow_that_was_edited_and_one_that_is_missing(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["ci", "generate", "--all", "--to", str(tmp_path)]).exit_code == 0
    edited, missing = (tmp_path / name for name in FILES)
    edited.write_text(edited.read_text() + "# by hand\n")
    missing.unlink()
    done = runner.invoke(main, ["ci", "generate", "--all", "--check", "--json", "--to", str(tmp_path)])
    assert done.exit_code == 1
    assert sorted(json.loads(done.output)["outdated"]) == sorted(FILES)


def test_every_workflow_is_valid() -> None:
    for text in workflows():
        assert invalid(text) == []
    assert invalid("on: push\njobs: {a: {runs-on: x, steps: [{uses: a, run: b, timeout: 1}]}}")


@pytest.mark.needs("actionlint", "shellcheck")
def test_actionlint_and_shellcheck_find_nothing_in_any_workflow(tmp_path: Path) -> None:
    labels = tmp_path / "actionlint.yaml"
    known = sorted({tag for system in SYSTEMS for tag in tags(system) if not tag.startswith("$")})
    labels.write_text(f"self-hosted-runner: {{labels: {json.dumps(known)}}}\n")
    for text in workflows():
        assert actionlint(text, labels) == ""
    broken = FILES[github_checks.PATH].replace("github.event_name", "github.event_nome")
    assert "event_nome" in actionlint(broken, labels), "actionlint does not report a known mistake"
    unquoted = FILES[github_checks.PATH].replace(
        'safe.directory "$GITHUB_WORKSPACE"', "safe.directory $GITHUB_WORKSPACE"
    )
    assert "SC2086" in actionlint(unquoted, labels), "shellcheck did not run"


def test_the_projects_checks_are_those_of_gitlabs_root_pipeline() -> None:
    files = all_files(systems({}))
    root, jobs = jobs_of(files[".gitlab-ci.yml"]), tree_of(FILES[github_checks.PATH])["jobs"]
    for name in ("lint", "tests", "rehearsal"):
        assert [line for line in scripts_of(jobs[name]["steps"]) if line in root[name]["script"]] == root[name][
            "script"
        ]
        assert jobs[name]["container"] == root[name]["image"]
    assert jobs["tests"]["timeout-minutes"] == 120


def test_the_plain_machine_runs_the_stages_of_its_pipeline_and_the_verdict_decides() -> None:
    child = jobs_of(all_files(systems({}))["ci/pipelines/local/workstation.yml"])
    steps = {step["name"]: step for step in tree_of(FILES[github_checks.PATH])["jobs"]["local-workstation"]["steps"]}
    for name in ("setup", "install", "control", "smoke", "deliver", "verdict"):
        assert steps[name]["run"] == "\n".join(child[name]["script"])
        assert steps[name].get("continue-on-error", False) == child[name].get("allow_failure", False)
    assert steps["verdict"]["if"] == "${{ !cancelled() }}", "also after a stage that failed"
    assert "integration" not in steps


def test_only_the_step_that_delivers_has_a_secret_and_a_workflow_may_only_read_the_repository() -> None:
    for text in workflows():
        assert tree_of(text)["permissions"] == {"contents": "read"}
        steps = steps_of(text)
        holders = {step["name"] for step in steps if "secrets." in json.dumps(step)}
        assert holders <= {"deliver", "Deliver the results"}
        assert not [script for script in scripts_of(steps) if "${{" in script], "a text of the event becomes code"
        kept = [step["with"]["persist-credentials"] for step in steps if "checkout" in step.get("uses", "")]
        assert kept
        assert not any(kept)


def test_a_pull_request_starts_nothing_on_a_runner_of_a_facility() -> None:
    """GitHub runs a pull request's own workflow; on a runner of one's own that would be anybody's code."""
    for system in SYSTEMS:
        tree = tree_of(cases_yaml(system))
        assert set(tree["on"]) == {"schedule", "workflow_dispatch"}
        runner = tree["jobs"]["own-cases"]["runs-on"]
        assert runner == "ubuntu-24.04" or runner[0] == "self-hosted", system.system
    for job in tree_of(FILES[github_checks.PATH])["jobs"].values():
        assert job["runs-on"] == "ubuntu-24.04"


def test_a_system_needs_a_runner_with_the_tags_of_its_login_node_and_the_account_of_its_file() -> None:
    job = tree_of(cases_yaml(load_text(JACAMAR.replace("KIND", "slurm"), "test")))["jobs"]["own-cases"]
    assert job["runs-on"] == ["self-hosted", "machine", "login"]
    assert job["env"]["TEST_ACCOUNT"] == "${{ vars.TEST_ACCOUNT }}"
    assert not [step for step in job["steps"] if "apt-get" in step.get("run", "")], "nothing is installed on a cluster"


def test_own_cases_are_generated_for_one_system_that_is_not_retired(tmp_path: Path) -> None:
    runner, target = CliRunner(), tmp_path / "own" / "cases.yml"
    arguments = ["ci", "generate", "--site", "local/workstation", "--own-cases"]
    assert runner.invoke(main, [*arguments, "--to", str(target)]).exit_code == 0
    assert target.read_text() == FILES[github_cases.PATH]
    assert runner.invoke(main, arguments).output == target.read_text()
    done = runner.invoke(main, ["ci", "generate", "--all", "--own-cases"])
    assert (done.exit_code, "--own-cases needs --site" in done.output) == (2, True)
    retired = next(system.system for system in systems({}) if system.state.value == "retired")
    done = runner.invoke(main, ["ci", "generate", "--site", retired, "--own-cases"])
    assert (done.exit_code, f"{retired} is retired" in done.output) == (2, True)


@dataclass
class Machine:
    """A machine of GitHub's that runs the scripts of one job, each with the shell of the workflow.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax (``shell: sh`` is ``sh -e {0}``) and
    …/workflow-commands (the file in ``GITHUB_ENV`` sets variables for the steps after it).
    """

    work: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, job: dict[str, Any], path: str) -> list[subprocess.CompletedProcess[str]]:
        """Run the scripts up to the first one that fails; a conditional step runs if its condition needs no value."""
        values = {name: self._evaluate(text) for name, text in job.get("env", {}).items()}
        env = environ(**values, HOME=str(self.work.parent / "home"), PATH=path)
        results = []
        for number, step in enumerate(job["steps"]):
            if "run" not in step or "if" in step or "apt-get" in step["run"]:
                continue
            script, kept = self.work.parent / f"step{number}.sh", self.work.parent / "github.env"
            script.write_text(step["run"])
            kept.write_text("")
            env |= {"GITHUB_ENV": str(kept), "GITHUB_WORKSPACE": str(self.work)}
            done = subprocess.run(
                ["sh", "-e", str(script)],
                cwd=self.work,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT,
            )
            env |= dict(line.split("=", 1) for line in kept.read_text().splitlines())
            results.append(done)
            if done.returncode:
                break
        return results

    def _evaluate(self, text: str) -> str:
        """Return a text with its expressions replaced: a variable of the repository, its default, or the event."""
        known = {f"vars.{name}": value for name, value in self.variables.items()}
        known["github.event_name"] = "schedule"

        def value(match: re.Match[str]) -> str:
            name, _, default = match[1].partition(" || ")
            return known.get(name) or default.strip("'")

        return re.sub(r"\$\{\{ (.*?) \}\}", value, text)


def sdk_repository(folder: Path) -> Path:
    """Return a repository of the SDK whose command is that of this checkout."""
    folder.mkdir()
    project = Project(folder)
    (project.path / "exaworks").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m exaworks_sdk "$@"\n')
    (project.path / "exaworks").chmod(0o755)
    project.commit()
    return project.path


@pytest.mark.needs("components")
@pytest.mark.parametrize("component, code, outcomes", [("psij", 0, {"pass"}), ("nothing", 1, set())])
def test_the_workflow_of_own_cases_runs_them_and_keeps_the_outbox_alone(
    tmp_path: Path, component: str, code: int, outcomes: set[str]
) -> None:
    """The repository has a site file of its own. Without a component, its cases do not run, and only control passes."""
    work = tmp_path / "cases"
    shutil.copytree(ROOT / "docs" / "examples" / "own-cases", work, ignore=shutil.ignore_patterns("__pycache__"))
    site = work / "sites" / "test" / "box.yaml"
    site.parent.mkdir(parents=True)
    site.write_text(BOX.replace("DEPLOYMENT", f"venv:{need('components')}"))
    (tmp_path / "home").mkdir()
    options = f"--component {component}" if component == "psij" else "--component psij --deployment path"
    sdk = sdk_repository(tmp_path / "sdk")
    machine = Machine(work, {"EXAWORKS_SDK_URL": str(sdk), "EXAWORKS_CI_OPTIONS": options})
    job = tree_of(cases_yaml(find("test/box", site_file=site)))["jobs"]["own-cases"]
    results = machine.run(job, os.environ["PATH"] if component == "psij" else "/usr/local/bin:/usr/bin:/bin")
    output = "".join(done.stdout + done.stderr for done in results)
    assert results[-1].returncode == code, output
    kept = [
        path.relative_to(work / "results" / "own-cases") for path in (work / "results").rglob("*") if path.is_file()
    ]
    assert {path.name for path in kept} == {"stage.json", "stage.xml", *OUTBOX}, output
    (manifest,) = (work / "results").rglob("manifest.json")
    assert json.loads(manifest.read_bytes())["trigger"] == "nightly"
    records = [json.loads(line) for line in manifest.with_name("records.jsonl").read_text().splitlines()]
    assert {r["verdict"]["outcome"] for r in records if r["case"]["component"] == "psij"} - {"skip"} == outcomes
    assert (tmp_path / "home" / ".local/state/exaworks-ci/test-box/sdk/exaworks").is_file()


@pytest.mark.parametrize(
    "event, name",
    [
        ({"EXAWORKS_TRIGGER": "pull_request"}, "merge request"),
        ({"EXAWORKS_TRIGGER": "workflow_dispatch"}, "manual"),
        ({"EXAWORKS_TRIGGER": "schedule"}, "nightly"),
        ({"EXAWORKS_TRIGGER": "push"}, "push"),
        ({"CI_PIPELINE_SOURCE": "merge_request_event"}, "merge request"),
        ({}, "manual"),
    ],
)
def test_records_name_the_trigger_in_the_same_way_on_github_and_gitlab(event: dict[str, str], name: str) -> None:
    assert trigger(event) == name


@pytest.mark.parametrize("ended, code, warned", [(0, 0, False), (1, 1, False), (2, 2, False), (3, 0, True)])
def test_a_failure_of_the_sites_infrastructure_alone_is_a_warning(
    tmp_path: Path, ended: int, code: int, warned: bool
) -> None:
    steps = {step["name"]: step for step in steps_of(FILES[github_cases.PATH])}
    program = tmp_path / "exaworks"
    program.write_text(f"#!/bin/sh\nexit {ended}\n")
    program.chmod(0o700)
    command = ["sh", "-e", "-c", steps["Run the cases"]["run"]]
    done = subprocess.run(command, env=environ(EXAWORKS=str(program)), capture_output=True, text=True, check=False)
    assert (done.returncode, "::warning::" in done.stdout) == (code, warned)
