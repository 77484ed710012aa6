"""``exaworks install --until``: a pipeline runs the steps one by one, each as a stage of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exaworks_sdk.release import load
from exaworks_sdk.spack import install as spack_install
from exaworks_sdk.spack.install import InstallRequest, install


@pytest.mark.parametrize(
    "until, expected",
    [
        ("packages", ["spack", "packages", "bootstrap"]),
        ("concretize", ["spack", "packages", "bootstrap", "concretize"]),
        (None, ["spack", "packages", "bootstrap", "concretize", "install", "test"]),
    ],
)
def test_no_step_runs_after_the_named_one(
    until: str | None, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    class OwnSpack:
        own = True

    def step(name: str) -> Callable[..., OwnSpack]:
        def run(*_: object) -> OwnSpack:
            steps.append(name)
            return OwnSpack()

        return run

    for name in ("spack", "packages", "concretize", "install", "test"):
        monkeypatch.setattr(spack_install, f"_{name}", step(name))
    monkeypatch.setattr(spack_install, "bootstrap", step("bootstrap"))
    request = InstallRequest(release=load(), prefix=tmp_path, recipes=tmp_path, resume_command="x", until=until)
    assert install(request, lambda line: None) == f"spack:{tmp_path}/environment"
    assert steps == expected
