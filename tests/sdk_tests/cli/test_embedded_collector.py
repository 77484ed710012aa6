"""Two runs with one state folder: they share a collector, and each of them delivers its records."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from exaworks_sdk.paths import Places
from sdk_tests.cli.embedded_collector import EmbeddedCollector, running_collector, start, still_there

pytestmark = pytest.mark.slow


def test_two_runs_that_start_a_collector_at_the_same_time_share_one(tmp_path: Path) -> None:
    places = Places(home=tmp_path, checkout=None)
    started: list[EmbeddedCollector] = []
    threads = [threading.Thread(target=lambda: started.append(start(places))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    own = [each for each in started if each.process is not None]
    borrowed = [each for each in started if each.process is None]
    try:
        assert (len(own), len(borrowed)) == (1, 1)
        assert own[0].url == borrowed[0].url
        assert still_there(own[0], places) is own[0]
        assert still_there(borrowed[0], places) is borrowed[0]
    finally:
        own[0].close()
    assert running_collector(places) is None

    another = still_there(borrowed[0], places)  # the other run has ended, and its collector with it
    try:
        assert another.process is not None
        assert running_collector(places) is not None
    finally:
        another.close()
    assert not list((tmp_path / "collector").glob("*.log"))


def test_a_collector_that_does_not_start_leaves_its_log(tmp_path: Path) -> None:
    from sdk_tests.errors import RunError

    places = Places(home=tmp_path, checkout=None)
    places.collector.mkdir()
    (places.collector / "collector.db").write_text("this is no database" * 1000)
    with pytest.raises(RunError, match="its log is") as error:
        start(places)
    (log,) = places.collector.glob("embedded-*.log")
    assert str(log) in error.value.message
    gone = EmbeddedCollector("http://127.0.0.1:9", "token")
    assert still_there(gone, places) is gone
