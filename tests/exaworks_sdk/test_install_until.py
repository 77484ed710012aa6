"""``exaworks install --until``: a pipeline takes the steps one by one, each a stage of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exaworks_sdk import spack_install
from exaworks_sdk.release import load
from exaworks_sdk.spack_install import Order, install


@pytest.mark.parametrize(
    "until, taken",
    [
        ("packages", ["spack", "packages"]),
        ("concretize", ["spack", "packages", "concretize"]),
        (None, ["spack", "packages", "concretize", "install", "test"]),
    ],
)
def test_no_step_after_the_named_one_is_taken(
    until: str | None, taken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Own:
        own = True

    def step(name: str) -> Callable[..., Own]:
        def take(*_: object) -> Own:
            seen.append(name)
            return Own()

        return take

    for name in ("spack", "packages", "concretize", "install", "test"):
        monkeypatch.setattr(spack_install, f"_{name}", step(name))
    order = Order(release=load(), prefix=tmp_path, recipes=tmp_path, again="x", until=until)
    assert install(order, lambda line: None) == f"spack:{tmp_path}/environment"
    assert seen == taken
