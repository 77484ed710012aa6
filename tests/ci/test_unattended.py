"""Every active system can be tested unattended, in the forms that its site documents, and says what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from ci.cron import cron_script, entry
from ci.generate import all_files, unattended
from ci.phases import phases
from ci.pods import pods_yaml, values_yaml
from ci.root import path_of, pods_path_of, values_path_of
from exaworks_sdk.cli import main
from site_configs.errors import SiteFileError
from site_configs.load import find, load_text, systems
from site_configs.schema import System
from tests.ci.gitlab_schema import invalid
from tests.ci.test_generate import JACAMAR, jobs_of
from tests.ci.test_properties import old_yaml

ACTIVE = [system for system in systems({}) if system.state.value == "active"]
PODS = """
  variables:
    - {name: POD_TAG, meaning: tag of your runner, default: mine}
    - {name: ROOM, meaning: a folder}
  pods:
    name: hut
    tags: [$POD_TAG]
    image: registry.example.org/python:3
    builds_dir: $ROOM/builds
    annotations: {example.org/scheduler: 'true'}
    values: {enableScheduler: true}
"""
HUT = JACAMAR.replace("KIND", "slurm").replace("ci:\n", f"ci:{PODS}")


def without_run() -> list[str]:
    """Return the active systems that nothing tests unless a person does."""
    return [system.system for system in ACTIVE if not unattended(system)]


def test_no_active_system_is_without_an_unattended_run() -> None:
    assert without_run() == []


def test_a_system_without_a_trigger_is_found() -> None:
    text = "system: lab/box\ndescription: x\ndetect: {hosts: [box]}\nschedulers: [{kind: slurm}]\n"
    assert unattended(load_text(text, "test")) == []
    assert unattended(load_text(f"{text}cadence: 24:00:00\nci: {{trigger: cron}}\n", "test")) == ["cron"]


@pytest.mark.parametrize("system", ACTIVE, ids=lambda system: system.system)
def test_each_form_of_each_system_can_be_made(system: System) -> None:
    files = all_files(systems({}))
    for form in unattended(system):
        if form in ("cron", "scrontab"):
            scron = form == "scrontab"
            assert cron_script(system, Path("/sdk"), tier="integration").startswith("#!/bin/sh")
            assert ("#SCRON" in entry(system, Path("/x.sh"), {}, scron=scron, tier="smoke")) == scron
        elif form == "gitlab":
            assert invalid(files[path_of(system)]) == []
        else:
            assert invalid(files[pods_path_of(system)]) == []
            assert values_path_of(system) in files


def test_the_facilities_of_the_mission_have_the_forms_that_they_document() -> None:
    forms = {system.system: unattended(system) for system in ACTIVE}
    assert forms["ornl/frontier"] == forms["ornl/andes"] == ["gitlab", "slate"]
    assert forms["nersc/perlmutter"] == ["gitlab", "scrontab"]
    for name in ("llnl/dane", "llnl/tuolumne", "anl/aurora", "anl/polaris"):
        assert "gitlab" in forms[name]


@pytest.mark.parametrize("name", ["ornl/frontier", "ornl/andes", "nersc/perlmutter"])
def test_what_a_site_does_not_publish_is_a_variable_with_a_default(name: str) -> None:
    system = find(name)
    tree = YAML(typ="safe", pure=True).load(all_files(systems({}))[path_of(system)])
    jobs = {key: job for key, job in tree.items() if isinstance(job, dict) and "tags" in job}
    assert jobs
    for job in jobs.values():
        for tag in job["tags"]:
            assert tree["variables"][tag.removeprefix("$")]["value"], tag
    smoke, setup = (tree[stage]["tags"] for stage in ("smoke", "setup"))
    assert smoke != setup, "a batch job and a job on a login node have different runners"
    assert "EXAWORKS_POD_TAG" not in tree["variables"]


def test_a_tag_that_names_no_variable_of_the_file_is_refused() -> None:
    text = JACAMAR.replace("KIND", "slurm").replace("tags: [machine]", "tags: [$NOWHERE]")
    with pytest.raises(SiteFileError, match=r"list it under ci\.variables"):
        load_text(text, "test")


def test_several_triggers_are_a_list_and_an_empty_list_is_refused() -> None:
    text = JACAMAR.replace("KIND", "slurm")
    both = load_text(text.replace("trigger: gitlab", "trigger: [gitlab, scrontab]"), "test")
    assert unattended(both) == ["gitlab", "scrontab"]
    with pytest.raises(SiteFileError, match="the list is empty"):
        load_text(text.replace("trigger: gitlab", "trigger: []"), "test")


def pods_of_every_system() -> list[System]:
    return [*(system for system in ACTIVE if system.ci.pods), load_text(HUT, "test")]


@pytest.mark.parametrize("system", pods_of_every_system(), ids=lambda system: system.system)
def test_a_pod_submits_every_stage_and_delivers_by_itself(system: System) -> None:
    text = pods_yaml(system)
    assert invalid(text) == []
    jobs = jobs_of(text)
    assert system.ci.pods is not None
    for name, job in jobs.items():
        assert job["tags"] == system.ci.pods.tags
        assert job["image"] == system.ci.pods.image
        assert system.ci.scheduler_parameters not in job.get("variables", {}), name
        assert "SITE_JWT" not in job.get("id_tokens", {}), "Jacamar's token is for Jacamar alone"
    stages = [name for name, job in jobs.items() if " ci submit " in job["script"][0]]
    assert stages == [phase.name for phase in phases(system, inside=True)]
    assert "control" not in stages, "a control case cannot run inside an allocation"
    assert "--inside" in jobs["verdict"]["script"][0]
    assert not any(" ci stage " in line for job in jobs.values() for line in job["script"])
    assert jobs["deliver"]["script"] == [f'"$EXAWORKS" ci deliver --site {system.system}']


@pytest.mark.parametrize("system", pods_of_every_system(), ids=lambda system: system.system)
def test_the_values_of_the_chart_are_whole_and_hold_no_secret(system: System) -> None:
    text = values_yaml(system)
    values = YAML(typ="safe", pure=True).load(text)
    assert old_yaml(text) == values, "Helm reads YAML 1.1 and YAML 1.2 alike"
    pods = system.ci.pods
    assert pods is not None
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    (runner,) = tomllib.loads(values["runners"]["config"])["runners"]
    assert runner["executor"] == "kubernetes"
    assert runner["builds_dir"] == pods.builds_dir
    assert runner["kubernetes"]["pod_annotations"] == pods.annotations == values["podAnnotations"]
    assert runner["kubernetes"]["image"] == pods.image
    assert values["runners"]["secret"], "the token is in a secret of the cluster"
    assert not {key for key in values if "token" in key.lower()}
    assert set(pods.values) <= set(values)
    assert values["gitlabUrl"] == system.ci.server


def test_annotations_of_olcf_are_those_in_use_now() -> None:
    for name in ("ornl/frontier", "ornl/andes"):
        pods = find(name).ci.pods
        assert pods is not None
        assert pods.annotations == {"ccs.ornl.gov/batchScheduler": "true", "ccs.ornl.gov/fs": "orion"}


def test_values_for_a_cluster_have_the_variables_replaced_and_name_one_that_is_unset(tmp_path: Path) -> None:
    target = tmp_path / "values.yaml"
    command = ["ci", "values", "--site", "ornl/frontier", "--to", str(target)]
    done = CliRunner(env={"EXAWORKS_ACCOUNT": None}).invoke(main, command)
    assert done.exit_code == 2
    assert "$EXAWORKS_ACCOUNT, which is not set" in done.output
    done = CliRunner(env={"EXAWORKS_ACCOUNT": "abc123"}).invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "/lustre/orion/abc123/proj-shared/gitlab-runner" in target.read_text()
    assert "$" not in target.read_text().partition("\n\n")[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("tags: [$POD_TAG]", "tags: []"), "give the tag of your own runner"),
        (("builds_dir: $ROOM/builds", "builds_dir: builds"), "expected an absolute path"),
        (("kind: slurm", "kind: pbs"), "pods submit with sbatch"),
        (("  pods:", "  package_jobs: true\n  pods:"), "remove this or pods"),
        (("{name: ROOM", "{name: POD_TAG"), "listed twice"),
    ],
)
def test_pods_that_cannot_work_are_refused(change: tuple[str, str], message: str) -> None:
    assert change[0] in HUT
    with pytest.raises(SiteFileError, match=message):
        load_text(HUT.replace(*change), "test")


def states(site: str, *options: str, **environ: str | None) -> tuple[int, dict[str, Any]]:
    import json

    unset = {"EXAWORKS_ACCOUNT": None, "MEMBERWORK": None, "EXAWORKS_COLLECTOR_URL": None, "HOME": "/nowhere"}
    done = CliRunner(env={**unset, **environ}).invoke(main, ["sites", "verify", site, "--ci", "--json", *options])
    return done.exit_code, {setting["name"]: setting for setting in json.loads(done.output)}


def test_verify_names_what_is_unset_and_what_has_the_default() -> None:
    code, settings = states("ornl/frontier")
    assert code == 1
    assert settings["EXAWORKS_ACCOUNT"]["state"] == settings["MEMBERWORK"]["state"] == "unset"
    assert (settings["EXAWORKS_BATCH_TAG"]["state"], settings["EXAWORKS_BATCH_TAG"]["default"]) == ("default", "batch")
    code, settings = states("ornl/frontier", EXAWORKS_ACCOUNT="abc123", EXAWORKS_CI_HOME="/x", EXAWORKS_BATCH_TAG="big")
    assert code == 0
    assert settings["EXAWORKS_BATCH_TAG"]["state"] == settings["EXAWORKS_ACCOUNT"]["state"] == "set"
    assert "MEMBERWORK" not in settings


def test_verify_prints_no_value_of_the_environment() -> None:
    environ = {"EXAWORKS_COLLECTOR_TOKEN": "s3cret", "EXAWORKS_COLLECTOR_URL": "https://c.example.org"}
    done = CliRunner(env=environ).invoke(main, ["sites", "verify", "nersc/perlmutter", "--ci"])
    assert "s3cret" not in done.output
    assert "EXAWORKS_COLLECTOR_TOKEN" in done.output


def test_verify_reads_the_settings_of_cron_scripts(tmp_path: Path) -> None:
    settings = tmp_path / "ci.env"
    settings.write_text("# account\nexport EXAWORKS_ACCOUNT=m42\nEMPTY=\nSCRATCH='/pscratch'\n")
    code, found = states("nersc/perlmutter", EXAWORKS_CI_ENV=str(settings), SCRATCH=None)
    assert (code, found["EXAWORKS_ACCOUNT"]["state"], found["SCRATCH"]["state"]) == (0, "set", "set")
