"""Fixtures of the collector's tests: a server process a module, and a store in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.database import Store, database_url, open_store
from tests.collector.server import Collector


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that all tests of a module talk to; each uses runs of its own."""
    served = Collector(tmp_path_factory.mktemp("collector"))
    yield served
    assert served.stop() == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open SQLite store."""
    opened = open_store(database_url(None, tmp_path))
    yield opened
    opened.close()
