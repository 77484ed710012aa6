"""The generated files are current and valid, and keep the rules about timeouts, secrets and artifacts."""

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

from ci.generate import all_files, with_pipeline
from ci.limits import scheduler_parameters
from ci.root import path_of
from ci.system import slug, system_pipeline, system_yaml
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


def test_the_committed_pipelines_are_current() -> None:
    for name, text in all_files(systems({})).items():
        assert (ROOT / name).read_text() == text, f"{name}: run `exaworks ci generate --all`"


def test_check_names_an_edited_and_an_obsolete_file(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["ci", "generate", "--all", "--to", str(tmp_path)]).exit_code == 0
    assert runner.invoke(main, ["ci", "generate", "--all", "--check", "--to", str(tmp_path)]).exit_code == 0
    edited = tmp_path / path_of(with_pipeline(systems({}))[0])
    edited.write_text(edited.read_text() + "# by hand\n")
    obsolete = tmp_path / "ci/pipelines/gone/machine.yml"
    obsolete.parent.mkdir()
    obsolete.write_text("x: 1\n")
    done = runner.invoke(main, ["ci", "generate", "--all", "--check", "--json", "--to", str(tmp_path)])
    assert done.exit_code == 1
    assert json.loads(done.output)["outdated"] == [str(edited.relative_to(tmp_path)), "ci/pipelines/gone/machine.yml"]
    runner.invoke(main, ["ci", "generate", "--all", "--to", str(tmp_path)])
    assert not obsolete.exists()
    assert "by hand" not in edited.read_text()


def test_a_site_file_with_deployment_spack_has_a_pipeline_that_builds_it() -> None:
    golden = GOLDEN / "spack.yml"
    command = f"exaworks ci generate --site test/batch --site-file {GOLDEN / 'spack.yaml'} --to {golden}"
    text = system_yaml(load_file(GOLDEN / "spack.yaml"))
    assert text == golden.read_text(), f"check the difference, then run: {command}"
    assert invalid(text) == []
    scripts = [line for job in jobs_of(text).values() for line in job.get("script", [])]
    assert [line for line in scripts if "-- install" in line][-1].endswith("-- install --site test/batch")
    assert "EXAWORKS_DEPLOYMENT" not in text, "validate reads the deployment from the site file as well"


def test_every_committed_file_is_valid_gitlab() -> None:
    files = [ROOT / ".gitlab-ci.yml", *ROOT.glob("ci/pipelines/*/*.yml")]
    assert len(files) > 2
    for path in files:
        assert invalid(path.read_text()) == [], path


def test_the_schema_rejects_a_wrong_value() -> None:
    assert invalid("job: {script: [x], retry: {max: 9}}")


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_each_active_system_has_a_valid_pipeline_for_every_kind_of_deployment(system: Any, deployment: str) -> None:
    assert invalid(system_yaml(system, deployment)) == []


def test_building_and_installing_are_separate_stages_if_something_is_built() -> None:
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
def test_the_timeout_of_a_script_is_shorter_than_that_of_its_job(system: Any) -> None:
    for name, job in jobs_of(system_yaml(system)).items():
        script, after = (job["variables"][key] for key in ("RUNNER_SCRIPT_TIMEOUT", "RUNNER_AFTER_SCRIPT_TIMEOUT"))
        hours, minutes = re.fullmatch(r"(?:(\d+)h ?)?(?:(\d+)m)?", job["timeout"]).groups()  # type: ignore[union-attr]
        total = int(hours or 0) * 60 + int(minutes or 0)
        assert int(script[:-1]) + int(after[:-1]) < total, name


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.system)
def test_only_outbox_files_are_artifacts_and_also_after_a_failure(system: Any) -> None:
    kept = re.compile(
        r"results/([\w-]+/stage\.(json|xml)|([\w-]+|\*)/\*/(manifest\.json|records\.jsonl|junit\.xml|report\.html)|verdict\.(json|md))"
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
        assert job["retry"] == {"max": 1, "when": ["runner_system_failure", "stuck_or_timeout_failure"]}, name
        assert not {"image", "services"} & job.keys(), name
        assert "exit_codes" not in str(job.get("allow_failure")), "custom executors turn every exit code into 1"


def test_a_batch_runner_gets_its_options_in_the_sites_variable_with_a_reference_to_the_account() -> None:
    jobs = jobs_of(system_yaml(load_text(JACAMAR.replace("KIND", "slurm"), "test")))
    assert jobs["smoke"]["variables"]["TEST_PARAMETERS"] == "-N 1 -t 00:30:00 -p debug -A $TEST_ACCOUNT"
    assert jobs["integration"]["variables"]["TEST_PARAMETERS"] == "-N 2 -t 02:00:00 -p batch -A $TEST_ACCOUNT"
    assert jobs["smoke"]["tags"] == ["machine", "compute"]
    assert jobs["setup"]["tags"] == jobs["deliver"]["tags"] == ["machine", "login"]
    assert "TEST_PARAMETERS" not in jobs["setup"]["variables"], "stages that need no allocation have a shell runner"
    assert jobs["control"]["tags"] == ["machine", "login"], "a control case submits a job: it cannot be inside one"
    assert "TEST_PARAMETERS" not in jobs["control"]["variables"]


def test_a_runner_whose_jobs_are_all_batch_jobs_has_no_control_stage() -> None:
    text = JACAMAR.replace("KIND", "slurm").replace(", shell_tags: [login]", "")
    jobs = jobs_of(system_yaml(load_text(text, "test")))
    assert "control" not in jobs
    assert "--after control" not in str(jobs)
    assert jobs["setup"]["variables"]["TEST_PARAMETERS"].startswith("-N 1 ")


@pytest.mark.parametrize(
    "kind, options",
    [
        ("pbs", "-l select=1 -l walltime=00:30:00 -q debug -A $TEST_ACCOUNT"),
        ("lsf", "-nnodes 1 -W 30 -q debug -P $TEST_ACCOUNT"),
        ("cobalt", "-n 1 -t 30 -q debug -A $TEST_ACCOUNT"),
        ("flux", "--nodes=1 --exclusive --time-limit=30m --queue=debug --bank=$TEST_ACCOUNT"),
    ],
)
def test_each_scheduler_gets_its_own_options(kind: str, options: str) -> None:
    assert scheduler_parameters(load_text(JACAMAR.replace("KIND", kind), "test"), "smoke") == options


@pytest.mark.parametrize(
    ("dialect", "size"),
    [("csm", "-nnodes 1"), ("slots", "-n 1 -R span[ptile=1]"), ("classic", "-n 1 -R span[ptile=1]")],
)
def test_a_job_of_lsf_requests_its_size_as_the_dialect_requires(dialect: str, size: str) -> None:
    text = JACAMAR.replace("kind: KIND", f"kind: lsf\n    dialect: {dialect}")
    assert scheduler_parameters(load_text(text, "test"), "smoke") == f"{size} -W 30 -q debug -P $TEST_ACCOUNT"


def test_every_job_has_jacamars_token_and_only_one_has_the_collectors() -> None:
    jobs = jobs_of(system_yaml(load_text(JACAMAR.replace("KIND", "slurm"), "test")))
    assert all(job["id_tokens"]["SITE_JWT"] == {"aud": "https://jacamar.example.org"} for job in jobs.values())
    assert [name for name, job in jobs.items() if "COLLECTOR_JWT" in job["id_tokens"]] == ["deliver"]


def test_the_comment_is_made_from_the_verdict_of_another_job() -> None:
    jobs = jobs_of(system_yaml(SYSTEMS[0]))
    assert jobs["status"]["needs"] == [{"job": "verdict"}]
    assert "results/verdict.md" in jobs["verdict"]["artifacts"]["paths"]


def test_no_generated_command_or_variable_contains_a_secret() -> None:
    for text in all_files(systems({})).values():
        for job in jobs_of(text).values():
            text = " ".join([*job.get("script", []), *map(str, job.get("variables", {}).values())])
            assert not re.search(r"\$\{?\w*(TOKEN|JWT|SECRET|PASSWORD)", text)


def test_a_merge_request_from_a_fork_gets_neither_runner_nor_token() -> None:
    never = {"if": "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID", "when": "never"}
    files = all_files(systems({}))
    pipelines = {name: text for name, text in files.items() if name.endswith(".yml")}
    for name, text in pipelines.items():
        tree = YAML(typ="safe", pure=True).load(text)
        if name != ".gitlab-ci.yml":
            assert tree["workflow"]["rules"][0] == never, name
            continue
        children = [job for job in jobs_of(text).values() if "trigger" in job]
        assert len(children) == len(pipelines) - 1
        assert all(job["rules"][0] == never for job in [*children, tree["junit"]])
        assert all("id_tokens" not in job for job in jobs_of(text).values())


def test_a_sites_pipeline_starts_only_on_its_own_gitlab() -> None:
    text = all_files([load_text(JACAMAR.replace("KIND", "slurm"), "test")])[".gitlab-ci.yml"]
    rules = jobs_of(text)["test-batch"]["rules"]
    assert rules[1] == {"if": '$CI_SERVER_URL != "https://gitlab.example.org"', "when": "never"}


def test_two_pipelines_of_one_system_do_not_run_at_the_same_time() -> None:
    root = jobs_of(all_files(systems({}))[".gitlab-ci.yml"])
    outer = {job["resource_group"] for job in root.values() if "trigger" in job}
    assert outer == {slug(system) for system in with_pipeline(SYSTEMS)}, "also the two forms of one system"
    inner = {job.get("resource_group") for system in SYSTEMS for job in jobs_of(system_yaml(system)).values()}
    assert not outer & inner, "a child that waits for the resource group of its parent never starts"


def test_a_retired_system_has_no_pipeline() -> None:
    retired = next(system.system for system in systems({}) if system.state.value == "retired")
    done = CliRunner().invoke(main, ["ci", "generate", "--site", retired])
    assert done.exit_code == 2
    assert f"{retired} is retired" in done.output


def test_the_shell_expands_only_variables_in_the_work_directory() -> None:
    text = JACAMAR.replace("KIND", "slurm") + """work_dir: $SCRATCH/a`b$(c)"d'}\n"""
    (lines, *_) = system_pipeline(load_text(text, "test")).before_script
    command = ["sh", "-c", f'{lines}\nprintf %s "$EXAWORKS_HOME"']
    done = subprocess.run(command, env={"SCRATCH": "/x y"}, capture_output=True, text=True, check=True)
    assert done.stdout == """/x y/a`b$(c)"d'}/exaworks-ci/test-batch"""
    unset = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert unset.returncode != 0
    assert "SCRATCH" in unset.stderr


def test_the_timeout_of_a_job_is_within_the_sites_limit() -> None:
    text = JACAMAR.replace("KIND", "slurm").replace("ci:\n", "ci:\n  timeout: 01:00:00\n")
    jobs = jobs_of(system_yaml(load_text(text, "test")))
    assert {job["timeout"] for job in jobs.values()} <= {"1h", "25m"}
    assert jobs["integration"]["timeout"] == "1h"


def test_generation_creates_a_missing_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "pipeline.yml"
    done = CliRunner().invoke(main, ["ci", "generate", "--site", "local/workstation", "--to", str(target)])
    assert done.exit_code == 0, done.output
    assert target.is_file()
    shutil.rmtree(target.parent)
