"""The collector reads durations and instants as site files and manifests write them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from collector.clock import duration_seconds, instant_ms, iso
from collector.store.database import Store
from collector.store.decoding import read_manifest
from collector.store.runs import store_manifest
from collector.store.tables import runs
from dashboard_client.schema import encode
from site_configs.load import find
from site_configs.values import seconds
from tests.collector.samples import manifest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:30:00", 1800),
        ("24:00:00", 86_400),
        ("168:00:00", 7 * 86_400),
        ("999999:59:59", 2**31 - 1),
        ("36h", 129_600),
        ("2 days", 172_800),
        ("90 minutes", 5400),
        ("P1DT12H", 129_600),
        ("24:60:00", None),
        ("24:00", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_duration_is_read_as_people_and_site_files_write_it(text: str | None, expected: int | None) -> None:
    assert duration_seconds(text) == expected


def test_cadence_and_stale_after_of_the_packaged_workstation_reach_the_database(store: Store) -> None:
    system = find("local/workstation", environ={})
    assert system.stale_after is not None
    assert system.cadence is not None
    assert duration_seconds(system.cadence) == seconds(system.cadence)
    opening = manifest("dated", cadence=system.cadence, stale_after=system.stale_after)
    with store.writing() as connection:
        store_manifest(connection, read_manifest(encode(opening), instant_ms("2026-11-20T09:00:00Z")), 0)
        stored = connection.execute(select(runs.c.stale_after)).scalar_one()
    assert stored == seconds(system.stale_after) > 0


def test_an_instant_reads_back_as_it_was_written() -> None:
    assert iso(instant_ms("2026-11-20T08:00:00.250Z"), "milliseconds") == "2026-11-20T08:00:00.250Z"
    for wrong in ("2026-11-20T08:00:00", "2026-11-20T08:00:00+01:00", "today"):
        with pytest.raises(ValueError, match="is not an instant"):
            instant_ms(wrong)
