"""The profile of ingest measures each of its steps, and leaves the collector as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ingest_profile import BARE, COMMIT, DIGEST, REST, STEPS, TOTAL, Stopwatch, profile
from collector.store.database import database_url, open_store


def test_each_step_takes_time_and_no_function_stays_replaced(tmp_path: Path) -> None:
    before = [getattr(module, attribute) for _, module, attribute in STEPS]
    url = f"sqlite:///{tmp_path / 'collector.db'}"
    store = open_store(database_url(url, tmp_path))
    steps = profile(store, 500, 600, tmp_path, "sqlite", url)
    store.close()
    assert set(steps) == {name for name, _, _ in STEPS} | {DIGEST, COMMIT, REST, TOTAL, BARE}
    assert all(seconds > 0 for seconds in steps.values())
    assert [getattr(module, attribute) for _, module, attribute in STEPS] == before


def test_the_time_of_a_step_is_without_that_of_the_steps_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 4.0, 5.0])
    monkeypatch.setattr("benchmarks.ingest_profile.time.perf_counter", lambda: next(times))
    watch = Stopwatch()
    with watch.step("outer"), watch.step("inner"):
        pass
    assert watch.seconds == {"outer": 2.0, "inner": 3.0}
