"""What is generated: current, valid GitLab, and with the promises about time, secrets and artifacts kept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from ci.generate import everything, fleet
from ci.limits import scheduler_parameters
from ci.root import path_of
from ci.system import system_pipeline, system_yaml
from exaworks_sdk.cli import main
from site_configs.load import load_file, load_text, systems
from tests.ci.gitlab_schema import invalid

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
SYSTEMS = [system for system in systems({}) if system.state.value == "active"]
DEPLOYMENTS = ("release", "spack", "spack:exaworks", "module:exaworks", "image:exaworks.sif", "path")

JACAMAR = """
system: test/batch
description: A machine with a Jacamar batch runner
schedulers:
  - kind: KIND
    queues:
      - {name: debug, max_nodes: 2, max_walltime: 00:30:00}
      - {name: batch, max_nodes: 64, max_walltime: 02:00:00}
    default_queue: debug
    multi_node_queue: batch
    account_env: TEST_ACCOUNT
runner: {executor: batch, tags: [machine], batch_tags: [compute], shell_tags: [login]}
ci:
  trigger: gitlab
  server: https://gitlab.example.org/
  scheduler_parameters: TEST_PARAMETERS
  site_token: {variable: SITE_JWT, audience: https://jacamar.example.org}
  collector_token: {variable: COLLECTOR_JWT, audience: https://status.example.org}
cadence: 24:00:00
"""


def jobs_of(text: str) -> dict[str, dict[str, Any]]:
    return jobs_in(YAML(typ="safe", pure=True).load(text))


def jobs_in(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: job for name, job in tree.items() if isinstance(job, dict) and "stage" in job}


def test_the_committed_pipelines_are_what_the_site_files_give() -> None:
    for name, text in everything(systems({})).items():
        assert (ROOT / name).read_text() == text, f"{name}: run `exaworks ci generate --all`"


def test_check_names_a_file_that_was_edited_and_one_that_is_left_over(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["ci", "generate", "--all", "--to", str(tmp_path)]).exit_code == 0
    assert runner.invoke(main, ["ci", "generate", "--all", "--check", "--to", str(tmp_path)]).exit_code == 0
    edited = tmp_path / path_of(fleet(systems({}))[0])
    edited.write_text(edited.read_text() + "# by hand\n")
    stray = tmp_path / "ci/pipelines/gone/machine.yml"
    stray.parent.mkdir()
    stray.write_text("x: 1\n")
    done = runner.invoke(main, ["ci", "generate", "--all", "--check", "--json", "--to", str(tmp_path)])
    assert done.exit_code == 1
    assert json.loads(done.output)["outdated"] == [str(edited.relative_to(tmp_path)), "ci/pipelines/gone/machine.yml"]
    runner.invoke(main, ["ci", "generate", "--all", "--to", str(tmp_path)])
    assert not stray.exists()
    assert "by hand" not in edited.read_text()


def test_a_site_file_that_says_spack_alone_has_the_pipeline_that_builds_it() -> None:
    golden = GOLDEN / "spack.yml"
    said = f"exaworks ci generate --site test/batch --site-file {GOLDEN / 'spack.yaml'} --to {golden}"
    text = system_yaml(load_file(GOLDEN / "spack.yaml"))
    assert text == golden.read_text(), f"look at what has changed, then: {said}"
    assert invalid(text) == []
    scripts = [line for job in jobs_of(text).values() for line in job.get("script", [])]
    assert [line for line in scripts if "-- install" in line][-1].endswith("-- install --site test/batch")
    assert "EXAWORKS_DEPLOYMENT" not in text, "the site file says it to validate as well"


def test_every_committed_file_is_valid_gitlab() -> None:
    files = [ROOT / ".gitlab-ci.yml", *ROOT.glob("ci/pipelines/*/*.yml")]
    assert len(files) > 2
    for path in files:
        assert invalid(path.read_text()) == [], path


def test_the_schema_would_notice_a_wrong_key() -> None:
    assert invalid("job: {script: [x], retry: {max: 9}}")


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_each_active_system_has_a_valid_pipeline_for_every_way_to_deploy(system: Any, deployment: str) -> None:
    assert invalid(system_yaml(system, deployment)) == []


def test_building_and_installing_are_stages_of_their_own_where_something_is_built() -> None:
    system = SYSTEMS[0]
    built = {
        kind: [s for s in system_pipeline(system, kind).stages if s in ("concretize", "install")]
        for kind in DEPLOYMENTS
    }
    assert built == {
        "release": ["install"],
        "spack": ["concretize", "install"],
        "spack:exaworks": [],
        "module:exaworks": [],
        "image:exaworks.sif": [],
        "path": [],
    }


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_a_script_ends_before_gitlab_ends_its_job_so_that_artifacts_survive(system: Any) -> None:
    for name, job in jobs_of(system_yaml(system)).items():
        script, after = (job["variables"][key] for key in ("RUNNER_SCRIPT_TIMEOUT", "RUNNER_AFTER_SCRIPT_TIMEOUT"))
        hours, minutes = re.fullmatch(r"(?:(\d+)h ?)?(?:(\d+)m)?", job["timeout"]).groups()  # type: ignore[union-attr]
        total = int(hours or 0) * 60 + int(minutes or 0)
        assert int(script[:-1]) + int(after[:-1]) < total, name


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_only_outbox_files_are_artifacts_and_always_also_after_a_failure(system: Any) -> None:
    kept = re.compile(
        r"results/(\w+/stage\.(json|xml)|(\w+|\*)/\*/(manifest\.json|records\.jsonl|junit\.xml|report\.html)|verdict\.(json|md))"
    )
    for name, job in jobs_of(system_yaml(system)).items():
        artifacts = job.get("artifacts")
        if artifacts is None:
            assert name in ("status", "cleanup")
            continue
        assert artifacts["when"] == "always"
        for path in [*artifacts["paths"], *artifacts.get("reports", {}).get("junit", [])]:
            assert kept.fullmatch(path), f"{name}: {path}"


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_only_a_failure_of_the_runner_is_repeated_and_nothing_needs_a_container(system: Any) -> None:
    for name, job in jobs_of(system_yaml(system)).items():
        assert job["retry"] == {"max": 1, "when": ["runner_system_failure"]}, name
        assert not {"image", "services"} & job.keys(), name
        assert "exit_codes" not in str(job.get("allow_failure")), "runners flatten them"


def test_a_batch_runner_gets_its_options_in_the_sites_variable_and_the_account_by_reference() -> None:
    jobs = jobs_of(system_yaml(load_text(JACAMAR.replace("KIND", "slurm"), "test")))
    assert jobs["smoke"]["variables"]["TEST_PARAMETERS"] == "-N 1 -t 00:30:00 -p debug -A $TEST_ACCOUNT"
    assert jobs["integration"]["variables"]["TEST_PARAMETERS"] == "-N 2 -t 02:00:00 -p batch -A $TEST_ACCOUNT"
    assert jobs["smoke"]["tags"] == ["machine", "compute"]
    assert jobs["setup"]["tags"] == jobs["deliver"]["tags"] == ["machine", "login"]
    assert "TEST_PARAMETERS" not in jobs["setup"]["variables"], "there is a shell runner for what needs no allocation"


@pytest.mark.parametrize(
    "kind, words",
    [
        ("pbs", "-l select=1 -l walltime=00:30:00 -q debug -A $TEST_ACCOUNT"),
        ("lsf", "-nnodes 1 -W 30 -q debug -P $TEST_ACCOUNT"),
        ("cobalt", "-n 1 -t 30 -q debug -A $TEST_ACCOUNT"),
        ("flux", "--nodes=1 --exclusive --time-limit=30m --queue=debug --bank=$TEST_ACCOUNT"),
    ],
)
def test_each_scheduler_is_asked_in_its_own_words(kind: str, words: str) -> None:
    assert scheduler_parameters(load_text(JACAMAR.replace("KIND", kind), "test"), "smoke") == words


def test_jacamar_has_its_own_token_in_every_job_and_the_collectors_goes_to_one() -> None:
    jobs = jobs_of(system_yaml(load_text(JACAMAR.replace("KIND", "slurm"), "test")))
    assert all(job["id_tokens"]["SITE_JWT"] == {"aud": "https://jacamar.example.org"} for job in jobs.values())
    assert [name for name, job in jobs.items() if "COLLECTOR_JWT" in job["id_tokens"]] == ["deliver"]


def test_the_comment_is_made_of_the_verdict_that_another_job_left() -> None:
    jobs = jobs_of(system_yaml(SYSTEMS[0]))
    assert jobs["status"]["needs"] == [{"job": "verdict"}]
    assert "results/verdict.md" in jobs["verdict"]["artifacts"]["paths"]


def test_no_secret_stands_in_a_generated_command_or_variable() -> None:
    for text in everything(systems({})).values():
        for job in jobs_of(text).values():
            words = " ".join([*job.get("script", []), *map(str, job.get("variables", {}).values())])
            assert not re.search(r"\$\{?\w*(TOKEN|JWT|SECRET|PASSWORD)", words)


def test_a_merge_request_from_a_fork_gets_neither_runner_nor_token() -> None:
    never = {"if": "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID", "when": "never"}
    files = everything(systems({}))
    for name, text in files.items():
        tree = YAML(typ="safe", pure=True).load(text)
        if name != ".gitlab-ci.yml":
            assert tree["workflow"]["rules"][0] == never, name
            continue
        children = [job for job in jobs_of(text).values() if "trigger" in job]
        assert len(children) == len(files) - 1
        assert all(job["rules"][0] == never for job in [*children, tree["junit"]])
        assert all("id_tokens" not in job for job in jobs_of(text).values())


def test_a_sites_pipeline_starts_on_its_own_gitlab_only() -> None:
    text = everything([load_text(JACAMAR.replace("KIND", "slurm"), "test")])[".gitlab-ci.yml"]
    rules = jobs_of(text)["test-batch"]["rules"]
    assert rules[1] == {"if": '$CI_SERVER_URL != "https://gitlab.example.org"', "when": "never"}


def test_whole_pipelines_of_one_system_are_kept_apart() -> None:
    root = jobs_of(everything(systems({}))[".gitlab-ci.yml"])
    outer = [job["resource_group"] for job in root.values() if "trigger" in job]
    assert len(set(outer)) == len(outer) > 0
    inner = {job.get("resource_group") for system in SYSTEMS for job in jobs_of(system_yaml(system)).values()}
    assert not set(outer) & inner, "a child that waits for its parent's group waits for ever"


def test_a_retired_system_has_no_pipeline() -> None:
    retired = next(system.system for system in systems({}) if system.state.value == "retired")
    done = CliRunner().invoke(main, ["ci", "generate", "--site", retired])
    assert done.exit_code == 2
    assert f"{retired} is retired" in done.output


def test_a_work_directory_is_expanded_by_the_shell_and_nothing_else_in_it_is() -> None:
    text = JACAMAR.replace("KIND", "slurm") + """work_dir: $SCRATCH/a`b$(c)"d'}\n"""
    (lines, *_) = system_pipeline(load_text(text, "test")).before_script
    shown = ["sh", "-c", f'{lines}\nprintf %s "$EXAWORKS_HOME"']
    said = subprocess.run(shown, env={"SCRATCH": "/x y"}, capture_output=True, text=True, check=True)
    assert said.stdout == """/x y/a`b$(c)"d'}/exaworks-ci/test-batch"""
    unset = subprocess.run(shown, env={}, capture_output=True, text=True, check=False)
    assert unset.returncode != 0
    assert "SCRATCH" in unset.stderr


def test_a_job_is_bounded_by_the_sites_own_limit() -> None:
    text = JACAMAR.replace("KIND", "slurm").replace("ci:\n", "ci:\n  timeout: 01:00:00\n")
    jobs = jobs_of(system_yaml(load_text(text, "test")))
    assert {job["timeout"] for job in jobs.values()} <= {"1h", "25m"}
    assert jobs["integration"]["timeout"] == "1h"


def test_generation_needs_no_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    target = tmp_path / "new" / "pipeline.yml"
    done = CliRunner().invoke(main, ["ci", "generate", "--site", "local/workstation", "--to", str(target)])
    assert done.exit_code == 0, done.output
    assert target.is_file()
    shutil.rmtree(target.parent)
