"""Fixtures of the images' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.engine import Engine, ready


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """podman with an image of this machine's own Python."""
    engine = Engine(tmp_path_factory.mktemp("podman"))
    try:
        yield ready(engine)
    finally:
        engine.close()
