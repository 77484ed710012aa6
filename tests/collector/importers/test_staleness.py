"""Imported results become stale, and their age counts from the time of the file."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from dashboard_client.importing import local_offset
from tests.collector.importers.test_imports import GOLDEN, requests_of, send, token_of
from tests.collector.process import Collector
from tests.collector.samples import manifest

FILE = '<testsuite name="S" tests="1"{time}><testcase classname="c" name="{name}"/></testsuite>'


def post(served: Collector, system: str, body: str, **query: str) -> requests.Response:
    """Import a file; each system is of one test only."""
    parameters = {"system": system, "site": "ornl", **query}
    path = requests.Request("POST", "http://x/api/v1/import/junit", params=parameters).prepare().path_url
    return served.post(path, body.encode(), Content_Type="application/xml")


def imported(served: Collector, system: str, body: str, **query: str) -> dict[str, Any]:
    answer = post(served, system, body, **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def states(served: Collector, system: str) -> dict[str, list[str]]:
    cells = served.get(f"/api/v1/cells?system={system}").json()["cells"]
    return {cell["case_id"]: cell["states"] for cell in cells}


def dated(when: str, name: str = "t") -> str:
    return FILE.format(time=f' timestamp="{when}"', name=name)


def now(days: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))


def test_a_file_of_january_2024_is_stale_today_and_one_of_today_is_not(collector: Collector) -> None:
    old = imported(collector, "stale-old", dated("2024-01-15T03:00:00Z"))
    assert (old["started"], old["stale_after"]) == ("2024-01-15T03:00:00.000Z", "168:00:00")
    imported(collector, "stale-new", dated(now()))
    assert states(collector, "stale-old") == {"imported/S.c.t@local": ["stale"]}
    assert states(collector, "stale-new") == {"imported/S.c.t@local": []}
    stale = collector.get("/api/v1/cells?system=stale-old&state=stale").json()["cells"]
    assert [cell["case_id"] for cell in stale] == ["imported/S.c.t@local"]


def test_an_import_becomes_stale_like_the_runs_of_its_system_or_as_stated(collector: Collector) -> None:
    own = manifest("stale-own-run", [], system="stale-own", stale_after="36h", started="2026-11-20T08:00:00Z")
    assert collector.open(own).status_code == 201
    assert imported(collector, "stale-own", dated(now(1), "a"))["stale_after"] == "36:00:00"
    assert imported(collector, "stale-own", dated(now(2), "b"))["stale_after"] == "36:00:00"
    assert imported(collector, "stale-own", dated(now(2), "d"), stale_after="3d")["stale_after"] == "72:00:00"
    assert states(collector, "stale-own") == {
        "imported/S.c.a@local": [],
        "imported/S.c.b@local": ["stale"],
        "imported/S.c.d@local": [],
    }


def test_an_import_sent_again_keeps_its_age_although_the_system_has_another_now(collector: Collector) -> None:
    body = dated(now(1))
    first = imported(collector, "stale-again", body)
    own = manifest("stale-again-run", [], system="stale-again", stale_after="1h")
    assert collector.open(own).status_code == 201
    assert imported(collector, "stale-again", body) == first | {"stored": False}
    assert imported(collector, "stale-again", dated(now(1), "other"))["stale_after"] == "01:00:00"


def test_a_time_without_a_zone_is_in_the_stated_one(collector: Collector) -> None:
    for number, (zone, started) in enumerate(
        (
            ("-07:00", "2026-11-20T10:00:00.000Z"),
            ("+0530", "2026-11-19T21:30:00.000Z"),
            ("America/Denver", "2026-11-20T10:00:00.000Z"),
            ("UTC", "2026-11-20T03:00:00.000Z"),
        )
    ):
        body = dated("2026-11-20T03:00:00", f"n{number}")
        assert imported(collector, f"zone-{number}", body, timezone=zone)["started"] == started
    with_zone = dated("2026-11-20T03:00:00+02:00")
    assert imported(collector, "zone-own", with_zone, timezone="-07:00")["started"] == "2026-11-20T01:00:00.000Z"
    for zone in ("Mars/Base", "../../etc/passwd", "+99:00", ""):
        refused = post(collector, "zone-bad", dated("2026-11-20T03:00:00"), timezone=zone)
        assert (refused.status_code, refused.json()["field"]) == (422, "timezone"), zone


def test_a_file_without_a_time_counts_from_its_modification_time_or_is_refused(collector: Collector) -> None:
    body = FILE.format(time="", name="t")
    refused = post(collector, "no-time", body)
    assert (refused.status_code, refused.json()["field"]) == (422, "modified")
    assert "states no time" in refused.json()["detail"]
    first = imported(collector, "no-time", body, modified="2024-01-15T03:00:00Z")
    assert first["started"] == "2024-01-15T03:00:00.000Z"
    assert states(collector, "no-time") == {"imported/S.c.t@local": ["stale"]}
    for query in ({}, {"modified": now()}):  # a copy of the file is not a new result
        assert imported(collector, "no-time", body, **query) == first | {"stored": False}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"stale_after": "soon"}, "stale_after"), ({"modified": "today"}, "modified"), ({"started": "x"}, "started")],
)
def test_a_time_that_cannot_be_read_is_refused(collector: Collector, query: dict[str, str], field: str) -> None:
    refused = post(collector, "bad-time", dated(now()), **query)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_the_component_of_an_import_is_the_importers_choice(collector: Collector) -> None:
    for query, component in (({}, "imported"), ({"component": "halo"}, "halo")):
        system = f"column-{component}"
        answer = imported(collector, system, dated(now(), "x"), **query)
        records = collector.get(f"/api/v1/runs/{answer['run_id']}/records").json()["records"]
        assert [record["case"]["component"] for record in records] == [component]
        assert list(states(collector, system)) == [f"{component}/S.c.x@local"]


def test_a_refused_file_leaves_nothing_behind_and_names_both_numbers(collector: Collector) -> None:
    body = FILE.format(time=f' timestamp="{now()}"', name="t").replace('tests="1"', 'tests="3"')
    refused = post(collector, "refused-totals", body)
    assert refused.status_code == 422
    assert "declares tests=3, but the file contains 1." in refused.json()["detail"]
    assert states(collector, "refused-totals") == {}


def test_a_test_that_failed_and_passed_is_displayed_as_failed(collector: Collector) -> None:
    case = '<testcase name="t"><failure message="FIRST"/></testcase><testcase name="t"/>'
    body = f'<testsuite name="S" timestamp="{now()}">{case}</testsuite>'
    answer = imported(collector, "repeated", body)
    assert (answer["records"], answer["counts"]) == (2, {"fail": 1})
    shown = collector.get(f"/api/v1/runs/{answer['run_id']}").json()
    assert (shown["outcomes"], shown["exit_code"]) == ({"imported/S.t@local": "fail"}, 1)


def test_a_test_that_passed_when_surefire_ran_it_again_is_displayed_as_passed(collector: Collector) -> None:
    answer = imported(collector, "surefire", (GOLDEN / "surefire.xml").read_text())
    assert answer["dialect"] == "Maven Surefire"
    shown = collector.get(f"/api/v1/runs/{answer['run_id']}").json()["outcomes"]
    assert shown["imported/org.example.RingTest.passesTheSecondTime@local"] == "pass"
    assert shown["imported/org.example.RingTest.fails@local"] == "fail"


def test_the_results_of_an_old_client_become_stale_with_and_without_their_start_event(collector: Collector) -> None:
    token = token_of(collector)
    for system, bodies in (("old-a.example.org", slice(None)), ("old-b.example.org", slice(1, 3))):
        lines = [json.loads(line) for line in requests_of("sdk_gitlab", id=system, key=token)][bodies]
        text = json.dumps(lines).replace("2026-11", "2024-01")
        send(collector, [json.dumps(line).encode() for line in json.loads(text)])
        assert all("stale" in each for each in states(collector, system).values()), system


def test_the_offset_of_this_machine_is_that_at_the_time_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Denver")
    time.tzset()
    try:
        assert local_offset(b'<testsuite timestamp="2026-01-20T03:00:00">', 0) == "-0700"
        assert local_offset(b"<testsuite timestamp='2026-07-20T03:00:00'>", 0) == "-0600"
        assert local_offset(b"<testsuite>", 1784520000) == "-0600"
        assert local_offset(b'<testsuite timestamp="2026-99-20T03:00:00">', 0)[:2] == "-0"
    finally:
        monkeypatch.undo()
        time.tzset()
