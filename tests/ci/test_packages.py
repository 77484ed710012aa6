"""One job for each package: the job in the system's pipeline, and the child pipeline for a Spack environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ci.packages import NEEDS, Package, packages_yaml
from ci.system import PACKAGES, system_yaml
from site_configs.load import load_text
from tests.ci.gitlab_schema import invalid
from tests.ci.pipeline import BOX, Project
from tests.ci.test_generate import JACAMAR, jobs_of

SITE = JACAMAR.replace("KIND", "slurm").replace("ci:\n", "ci:\n  package_jobs: true\n")
SPACK = """#!/bin/sh
# A simulated Spack: it installs by writing down the hash, and its environments are always the same.
case "$*" in
*concretize*) cp "$LOCK" "$3/spack.lock" ;;
*find*) cat "$INSTALLED" ;;
*install*) for last; do :; done; echo "${last#/}" >>"$INSTALLED" ;;
esac
"""


def package(name: str, *needs: str, installed: bool = False) -> Package:
    return Package(
        hash=f"{name}234567", name=name, version="1", needs=[f"{n}234567" for n in needs], installed=installed
    )


def test_with_package_jobs_a_pipeline_of_packages_runs_between_concretize_and_install() -> None:
    text = system_yaml(load_text(SITE, "test"), "spack")
    jobs = jobs_of(text)
    assert invalid(text) == []
    stages = YAML(typ="safe", pure=True).load(text)["stages"]
    assert stages.index("concretize") + 1 == stages.index("packages") == stages.index("install") - 1
    assert jobs["packages"]["trigger"]["include"] == [{"artifact": PACKAGES, "job": "concretize"}]
    assert jobs["packages"]["trigger"]["strategy"] == "depend"
    assert PACKAGES in jobs["concretize"]["artifacts"]["paths"]
    without = load_text(SITE.replace("package_jobs: true", "infra: fail"), "test")
    assert "packages" not in jobs_of(system_yaml(without, "spack"))
    assert "packages" not in jobs_of(system_yaml(load_text(SITE, "test"), "module:exaworks")), "a module is not built"


def test_each_missing_package_is_a_job_after_those_that_it_needs() -> None:
    packages = [package("parsl", "zmq", "python"), package("zmq", "python"), package("python", installed=True)]
    text = packages_yaml(load_text(SITE, "test"), packages)
    jobs = jobs_of(text)
    assert invalid(text) == []
    assert list(jobs) == ["zmq-zmq2345", "parsl-parsl23"]
    assert jobs["parsl-parsl23"]["needs"] == [{"job": "zmq-zmq2345", "artifacts": False}]
    assert jobs["zmq-zmq2345"]["needs"] == []
    assert [jobs[name]["stage"] for name in jobs] == ["level 1", "level 2"]
    assert "--package zmq234567" in jobs["zmq-zmq2345"]["script"][0]
    assert all(job["id_tokens"]["SITE_JWT"] and "login" in job["tags"] for job in jobs.values())


def test_a_package_that_needs_more_jobs_than_gitlab_allows_waits_for_all_earlier_levels() -> None:
    many = [package(f"p{number}") for number in range(NEEDS + 1)]
    text = packages_yaml(load_text(SITE, "test"), [*many, package("all", *(p.name for p in many))])
    assert "needs" not in jobs_of(text)["all-all2345"]
    assert invalid(text) == []


def test_if_everything_is_installed_the_pipeline_is_not_empty() -> None:
    text = packages_yaml(load_text(SITE, "test"), [package("zmq", installed=True)])
    assert list(jobs_of(text)) == ["nothing to build"]
    assert invalid(text) == []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return the project with a simulated Spack, a shell script."""
    program = tmp_path / "spack" / "bin" / "spack"
    program.parent.mkdir(parents=True)
    program.write_text(SPACK)
    program.chmod(0o755)
    nodes: dict[str, Any] = {
        "aaa4567": {"name": "parsl", "version": "1", "dependencies": [{"hash": "bbb4567"}, {"hash": "ccc4567"}]},
        "bbb4567": {"name": "zmq", "version": "2"},
        "ccc4567": {"name": "gcc", "version": "3", "external": {"path": "/usr"}},
    }
    (tmp_path / "lock").write_text(json.dumps({"concrete_specs": nodes}))
    (tmp_path / "installed").write_text("")
    project = Project(tmp_path, BOX + "ci: {package_jobs: true}\n")
    project.variables = {
        "SPACK_ROOT": str(tmp_path / "spack"),
        "LOCK": str(tmp_path / "lock"),
        "INSTALLED": str(tmp_path / "installed"),
    }
    return project


def test_without_an_environment_there_is_no_pipeline_of_packages(project: Project) -> None:
    done = project.exaworks("ci", "packages", "--site", "test/box", "--to", "packages.yml")
    assert done.returncode == 2
    assert "is not concretized" in done.stderr


@pytest.mark.needs("gitlab-ci-local", "rsync")
def test_the_pipeline_builds_each_package_in_a_job_of_its_own(project: Project) -> None:
    """The jobs after the installation are left out."""
    pipeline = project.generate("--deployment", "spack")
    text = pipeline.read_text()
    pipeline.write_text(text[: text.index("\ncontrol:\n")])
    project.commit()
    result = project.run()
    built = {name: result.jobs.get(name) for name in ("concretize", "zmq-bbb4567", "parsl-aaa4567", "install")}
    assert built == dict.fromkeys(built, "PASS"), result.output
    order = Path(project.variables["INSTALLED"]).read_text().split()
    assert order[:2] == ["bbb4567", "aaa4567"]
    assert {"results/zmq-bbb4567/stage.xml", "results/parsl-aaa4567/stage.xml"} <= project.artifacts()
