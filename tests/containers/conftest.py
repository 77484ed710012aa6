"""Fixtures of the images' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, ready
from tests.containers.yard import Yard
from tests.needs import need


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """podman with an image of this machine's own Python."""
    engine = Engine(tmp_path_factory.mktemp("podman"))
    try:
        yield ready(engine)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    need("podman", "buildah", "debootstrap")
    kept = os.environ.get("EXAWORKS_TEST_CONTAINERS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("yard")
    folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(folder)
    engine.make()
    made = Yard(engine)
    try:
        made.base()
        yield made
    finally:
        made.close()
        if not kept:
            engine.close()
