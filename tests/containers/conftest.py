"""Fixtures of the images' tests."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, ready


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """podman with an image of this machine's own Python.

    One at a time on this machine: what podman leaves to clean up after a client's death belongs to the user, not to a
    storage, and two at once wait for each other.
    """
    with Path(tempfile.gettempdir(), "exaworks-tests-podman.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        engine = Engine(tmp_path_factory.mktemp("podman"))
        try:
            yield ready(engine)
        finally:
            engine.close()
