"""Fixtures of the collector's tests: a server process a module and an open store, each on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collector.database import Store, database_url, open_store
from tests.collector.server import Collector

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL that belongs to the tests; each makes databases of its own in it."""
    from tests.collector.postgres import Cluster

    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="module", params=BOTH)
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that all tests of a module talk to; each uses runs of its own."""
    words: list[str] = []
    if request.param == "postgresql":
        words = ["--database", request.getfixturevalue("postgres").fresh()]
    served = Collector(tmp_path_factory.mktemp("collector"), *words)
    yield served
    assert served.stop() == 0


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'collector' / 'collector.db'}"
        return
    cluster = request.getfixturevalue("postgres")
    url = cluster.fresh()
    yield url
    cluster.drop(url)


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    opened = open_store(database_url(database, tmp_path))
    yield opened
    opened.close()
