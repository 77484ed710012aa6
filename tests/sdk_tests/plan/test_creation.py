"""While the environment of a deployment is being created, schedulers are prepared and tried, and that is shown."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click
import pytest

from exaworks_sdk import install
from exaworks_sdk.errors import InstallError
from exaworks_sdk.paths import Places
from exaworks_sdk.release import load
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.creation import create_beside, first_look, to_create
from sdk_tests.plan.options import Options
from sdk_tests.schedulers import Probe
from sdk_tests.schedulers.local import LocalKind
from sdk_tests.schedulers.slurm import SlurmKind
from site_configs.schema import SchedulerSpec

LIMIT = 60.0


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(home=tmp_path, checkout=None)


def test_the_schedulers_are_prepared_while_an_environment_is_being_created(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating, prepared = threading.Event(), threading.Event()

    def create(*_: object, progress: Any, **__: object) -> None:
        creating.set()
        assert prepared.wait(LIMIT), "the schedulers are prepared only after the environment"
        progress("created")

    def work(echo: Any) -> str:
        assert creating.wait(LIMIT), "the environment is created only after the schedulers"
        echo("works: control/hello@local")
        prepared.set()
        return "schedulers"

    monkeypatch.setattr(install, "pip_deployment", create)
    lines: list[str] = []
    release = load(None)
    assert create_beside([release], ["release"], Options(), places, lines.append, work) == "schedulers"
    assert lines == ["works: control/hello@local", "created"]


@pytest.mark.parametrize(("texts", "raises"), [(["release"], True), (["release", "path"], False)])
def test_a_failed_creation_ends_the_preparation_only_if_it_is_the_only_deployment(
    places: Places, monkeypatch: pytest.MonkeyPatch, texts: list[str], raises: bool
) -> None:
    def create(*_: object, **__: object) -> None:
        raise InstallError("no network")

    monkeypatch.setattr(install, "pip_deployment", create)
    done = threading.Event()

    def work(_: object) -> str:
        done.set()
        return "schedulers"

    def run() -> str:
        return create_beside([load(None)], texts, Options(), places, print, work)

    if raises:
        with pytest.raises(click.ClickException, match="no network"):
            run()
    else:
        assert run() == "schedulers"
    assert done.is_set()


def test_only_a_release_whose_environment_is_absent_or_outdated_is_created(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [each.name for each in to_create(["path", "venv:/x", "release"], Options(), places)] == [load(None).name]
    assert to_create(["path", "venv:/release"], Options(), places) == []
    monkeypatch.setattr(install, "pip_deployment_exists", lambda *_, **__: True)
    assert to_create(["release"], Options(), places) == []


def available(kind: Any, testbed: str | None = None) -> AvailableScheduler:
    return AvailableScheduler(kind, Probe(kind=kind.kind, available=True), testbed)


def test_what_works_on_this_machine_is_shown_at_once() -> None:
    lines: list[str] = []
    local = LocalKind(SchedulerSpec(kind="local"), {"PATH": "/usr/bin:/bin"})
    assert first_look("local", available(local), lines.append) is True
    assert lines[0].startswith("works: control/hello@local (")


def fake_slurm(folder: Path, srun: str) -> SlurmKind:
    (folder / "srun").write_text(f"#!/bin/sh\ntouch {folder}/asked\n{srun}\n")
    (folder / "srun").chmod(0o755)
    return SlurmKind(SchedulerSpec(kind="slurm"), {"PATH": f"{folder}:/usr/bin:/bin"})


def test_the_queue_of_a_site_is_not_used_for_a_first_look(tmp_path: Path) -> None:
    kind = fake_slurm(tmp_path, 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"')
    assert first_look("slurm", available(kind), print) is None
    assert not (tmp_path / "asked").exists()
    assert first_look("slurm", available(kind, testbed="slurm-abc"), print) is True
    assert (tmp_path / "asked").exists()


@pytest.mark.parametrize("srun", ["exit 1", "echo Hello Mars", "exit 0"])
def test_a_scheduler_that_does_not_work_is_left_to_its_control_case(tmp_path: Path, srun: str) -> None:
    lines: list[str] = []
    kind = fake_slurm(tmp_path, srun)
    assert first_look("slurm", available(kind, testbed="slurm-abc"), lines.append) is False
    assert lines == []
