"""The deployments of a run: their labels, which cells they get, and what it takes for all of them to be tested."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from dashboard_client.schema import Component, deployment_label
from exaworks_sdk.install import spack_prefix
from exaworks_sdk.paths import Places
from exaworks_sdk.release import load
from sdk_tests.errors import PlanError
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell, cells, selected, without_idle_controls
from sdk_tests.plan.options import Options
from sdk_tests.plan.target import Target, labels, owner, shared
from sdk_tests.plan.targets import named_deployments, resolve_targets
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.registry import kinds
from site_configs.load import load_text
from site_configs.schema import SchedulerSpec, System

SITE = "system: lab/box\ndescription: a machine\n"
HELLO = Case(component="parsl", name="hello", payload="parsl/hello.py")
CONTROL = Case(component="control", name="hello", payload="control/hello.py", where="control")


def system(text: str = "") -> System:
    return load_text(SITE + text, "lab/box.yaml")


@pytest.mark.parametrize(
    ("texts", "of_site", "expected"),
    [
        (["release"], [], [""]),
        (["spack"], ["release"], [""]),
        (["release", "spack"], [], ["", "spack"]),
        (["spack", "release"], ["release", "spack"], ["spack", ""]),
        (["spack"], ["release", "spack"], ["spack"]),
        (["release"], ["release", "spack"], [""]),
        (["venv:~/a", "venv:/p/b"], [], ["", "venv-b"]),
        (["release", "spack:/p/one", "spack:/p/two"], [], ["", "spack-one", "spack-two"]),
        (["module:a/1.0", "conda:b", "path"], [], ["", "conda", "path"]),
        (["path", "venv:a/b", "venv:c/b"], [], ["", "venv-b", "venv-b-again"]),
    ],
)
def test_the_labels_of_deployments(texts: list[str], of_site: list[str], expected: list[str]) -> None:
    assert labels(texts, of_site) == expected


def test_a_label_never_has_a_character_that_ids_or_shell_patterns_use() -> None:
    names = ["path", *(f"venv:{chr(code) * 3}x{code}" for code in range(32, 0x250))]
    chosen = labels(names)
    assert len(set(chosen)) == len(names)
    assert not {"@", "/", ":", "*", "?", "[", " ", "+", "#"} & set("".join(chosen))


def test_a_deployment_that_is_named_twice_is_refused() -> None:
    with pytest.raises(PlanError, match="--deployment spack: named twice"):
        labels(["release", "spack", "spack"])


def planned(*given: Case, nested: bool = False) -> list[Cell]:
    """Return the cells of cases in two deployments: one with Parsl, and one without it."""
    local = AvailableScheduler(kinds()["slurm"](SchedulerSpec(kind="slurm"), {}), Probe("slurm", available=True))
    schedulers = {"slurm": local}
    if nested:
        flux = SchedulerSpec(kind="flux", nested=True)
        for name in ("slurm+flux", "slurm+flux@spack"):
            schedulers[name] = AvailableScheduler(kinds()["flux"](flux, {}), Probe("flux", available=True), outer=local)

    def target(label: str, *names: str) -> Target:
        contents: Any = SimpleNamespace(
            components={name: Component(name=name, version="1") for name in names},
            absent=dict.fromkeys(["parsl"], "no parsl"),
            programs={},
        )
        deployment: Any = SimpleNamespace(
            promises={"parsl": None} if label else {}, name=label or "pip", unable=lambda where, batch: None
        )
        return Target(label, deployment, contents)

    preparation: Any = SimpleNamespace(
        schedulers=schedulers,
        absent={},
        targets=[target("", "parsl"), target("spack")],
        system=SimpleNamespace(system="lab/box", waivers=[]),
    )
    return cells(given, preparation)


def test_a_case_counts_once_in_each_deployment_and_fails_only_where_a_promise_is_broken() -> None:
    first, second = planned(HELLO)
    assert (first.case_id, first.judgement) == ("parsl/hello@slurm", None)
    assert second.case_id == "parsl/hello@slurm/in:spack"
    assert second.judgement is not None
    assert second.judgement.cause.rule == "promised-absent"
    assert second.planned().scheduler == "slurm"


def test_one_control_case_serves_all_deployments_but_each_has_its_own_nested_schedulers() -> None:
    assert [cell.case_id for cell in planned(CONTROL)] == ["control/hello@slurm"]
    several = planned(CONTROL, nested=True)
    assert [cell.case_id for cell in several] == [
        "control/hello@slurm",
        "control/hello@slurm+flux",
        "control/hello@slurm+flux/in:spack",
    ]
    assert [cell.scheduler for cell in several] == ["slurm", "slurm+flux", "slurm+flux@spack"]
    assert {cell.planned().scheduler for cell in several} == {"slurm", "slurm+flux"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("parsl/hello@slurm", ["", "spack"]),
        ("parsl/*", ["", "spack"]),
        ("parsl/hello", ["", "spack"]),
        ("*/in:spack", ["spack"]),
        ("parsl/hello@slurm/in:spack", ["spack"]),
        ("parsl/hello@slurm/in:other", []),
    ],
)
def test_a_pattern_without_a_deployment_is_about_all_of_them(pattern: str, expected: list[str]) -> None:
    selection = Options().selection.__class__(cases=[pattern])
    chosen = [cell for cell in planned(HELLO, CONTROL) if selected(cell, selection) and not cell.control]
    assert [deployment_label(cell.case_id) for cell in chosen] == expected


def test_a_selected_case_of_any_deployment_keeps_the_control_case_of_its_scheduler() -> None:
    every = planned(HELLO, CONTROL)
    chosen = without_idle_controls(
        [cell for cell in every if cell.control or cell.label == "spack"], Options().selection
    )
    assert [cell.case_id for cell in chosen] == ["parsl/hello@slurm/in:spack", "control/hello@slurm"]


def test_names_with_a_label() -> None:
    assert (shared("slurm+flux@spack"), owner("slurm+flux@spack")) == ("slurm+flux", "spack")
    assert (shared("parsl"), owner("parsl")) == ("parsl", "")


def test_the_command_line_replaces_the_deployments_of_the_site_file(tmp_path: Path) -> None:
    notes: list[str] = []
    places = Places(tmp_path, None)
    both = system("deployment: [release, spack]\n")
    assert named_deployments(Options(), both, places, notes.append) == ["release", "spack"]
    assert named_deployments(Options(deployments=("path",)), both, places, notes.append) == ["path"]
    assert named_deployments(Options(), system(), places, notes.append) == ["path"]
    assert notes == []


def test_a_deployment_that_may_be_there_is_tested_where_it_is_and_named_in_a_note_where_it_is_not(
    tmp_path: Path,
) -> None:
    notes: list[str] = []
    places = Places(tmp_path, None)
    box = system("deployment: release\ndeployment_if_installed: [spack]\n")
    assert named_deployments(Options(), box, places, notes.append) == ["release"]
    (note,) = notes
    assert note.startswith("note: deployment spack is not installed here and is not tested: there is no ")
    assert note.endswith("`exaworks install --site lab/box` creates it")
    lock = spack_prefix(places, load()) / "environment" / "spack.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert named_deployments(Options(), box, places, notes.append) == ["release", "spack"]
    assert len(notes) == 1


@pytest.mark.parametrize(
    "missing", ["venv:/nowhere", "spack:nowhere", "conda:nowhere", "module:nowhere", "image:nowhere", "spack", "kind"]
)
@pytest.mark.parametrize("first", [True, False])
def test_one_deployment_that_does_not_work_ends_the_run_and_is_named(missing: str, first: bool, tmp_path: Path) -> None:
    texts = [missing, "path"] if first else ["path", missing]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    with pytest.raises(click.ClickException) as caught:
        resolve_targets(texts, Options(), system(), Places(tmp_path, None), env, lambda text: None)
    assert caught.value.exit_code == 2
    message = caught.value.format_message()
    assert f"Deployment {missing} is one of 2 of this run ({', '.join(texts)})" in message
    assert "nothing was run. To test the others alone: --deployment path" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("deployment: []", "deployment: the list is empty: name a deployment, or remove the key"),
        ("deployment: [release, spock]", "deployment[1]: 'spock' is not a kind of deployment; did you mean 'spack'?"),
        ("deployment: [release, 'venv:']", "deployment[1]: 'venv' needs a name: write venv:NAME"),
        ("deployment: [release, release]", "deployment[1]: 'release' is named twice: remove one of them"),
        ("deployment: [release, 3]", "deployment[1]: expected some text, got 3"),
        ("deployment: {name: release}", "deployment: expected some text"),
        (
            "deployment: release\ndeployment_if_installed: [release]",
            "deployment_if_installed[0]: 'release' is named twice: remove one of them",
        ),
        (
            "deployment: release\ndeployment_if_installed: ['module:a/1']",
            "deployment_if_installed[0]: whether 'module:a/1' is installed cannot be found out without its activation",
        ),
    ],
)
def test_a_site_file_with_wrong_deployments_is_refused(text: str, problem: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        system(text + "\n")
    assert problem in caught.value.format_message()
