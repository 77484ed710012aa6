"""Fixtures for the tests of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, ready
from tests.containers.image_store import ImageStore
from tests.needs import need


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return podman with an image that has the Python of this machine."""
    need("podman")
    engine = Engine(tmp_path_factory.mktemp("podman"))
    try:
        yield ready(engine)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def image_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageStore]:
    need("podman", "buildah", "debootstrap")
    """Return a store with a base image; ``EXAWORKS_TEST_CONTAINERS`` names a folder to keep it in."""
    kept = os.environ.get("EXAWORKS_TEST_CONTAINERS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("image_store")
    folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(folder)
    engine.configure()
    store = ImageStore(engine)
    try:
        store.base()
        yield store
    finally:
        store.close()
        if not kept:
            engine.close()
