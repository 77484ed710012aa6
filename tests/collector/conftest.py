"""Fixtures of the collector's tests: a server process and an open store, each on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.store.database import Store, database_url, open_store
from tests.collector.process import Collector
from tests.needs import need

if TYPE_CHECKING:
    from tests.collector.postgres import Cluster

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of the tests; each test uses databases of its own."""
    from tests.collector.postgres import Cluster

    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session", params=BOTH)
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that many tests share; each uses runs of its own, and none looks at all runs."""
    yield from serving(request, tmp_path_factory)


def serving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """Serve an empty database of the kind that the fixture's parameter names."""
    arguments: list[str] = []
    if request.param == "postgresql":
        arguments = ["--database", request.getfixturevalue("postgres").ready()]
    served = Collector(tmp_path_factory.mktemp("collector"), *arguments)
    yield served
    assert served.stop() == 0


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the collector's tables and no rows, to be copied."""
    folder = tmp_path_factory.mktemp("blank")
    open_store(database_url(None, folder)).close()
    return folder / "collector.db"


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any rows."""
    if request.param == "sqlite":
        (tmp_path / "collector").mkdir()
        copied = shutil.copy(request.getfixturevalue("blank"), tmp_path / "collector")
        yield f"sqlite:///{copied}"
        return
    cluster = request.getfixturevalue("postgres")
    url = cluster.ready()
    yield url
    cluster.clear(url)


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    opened = open_store(database_url(database, tmp_path))
    yield opened
    opened.close()


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, which other modules must not see
def browser() -> Iterator[Any]:
    """The Chromium of the system, without network connections of its own."""
    chromium = need("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    options = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=[*options.split(), "--no-first-run"])
        yield opened
        opened.close()
