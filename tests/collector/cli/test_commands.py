"""Waivers, hooks, digest, badges and export, over HTTP and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard_client.schema import Outcome
from tests.collector.conftest import BOTH, serving
from tests.collector.process import TOKEN, Collector, tool
from tests.collector.samples import CASES, closing, manifest, record

WAIVER = {"site": "ornl", "cases": "psij/*", "reason": "looked at", "expires": "2999-01-01"}


def run_command(served: Collector, *arguments: str) -> str:
    """Run a command on the database of the collector, and return its output."""
    done = tool(served.home, *arguments, *served.arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module", params=BOTH)
def collector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that only this module uses, so that its pages show only the runs of this module."""
    yield from serving(request, tmp_path_factory)


@pytest.fixture(scope="module")
def admin(collector: Collector) -> str:
    collector.open(manifest("waived-1", CASES))
    collector.add(record("waived-1", CASES[0]), record("waived-1", CASES[2], Outcome.FAIL))
    collector.close("waived-1", closing(2, missing=3))
    return run_command(collector, "token", "new", "ornl", "--scope", "admin")


def test_an_administrator_sets_lists_and_ends_a_waiver(collector: Collector, admin: str) -> None:
    body = json.dumps(WAIVER).encode()
    assert collector.post("/api/v1/waivers", body, None).status_code == 401
    assert collector.post("/api/v1/waivers", body).status_code == 403  # not an administrator's token
    created = collector.post("/api/v1/waivers", body, admin)
    assert created.status_code == 201
    number = created.json()["id"]
    listed = collector.get("/api/v1/waivers").json()["waivers"]
    assert [(each["id"], each["last_day"], each["valid"]) for each in listed] == [(number, "2999-01-01", True)]
    assert collector.get("/triage.json").json()["counts"]["waived"] == 2  # the one that failed and the missing one
    assert collector.post(f"/api/v1/waivers/{number}/end", b"", admin).json() == {"id": number, "ended": True}
    assert collector.post(f"/api/v1/waivers/{number}/end", b"", admin).status_code == 404
    assert collector.get("/triage.json").json()["counts"]["waived"] == 0


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"site": "llnl"}, 403, "site"),
        ({"expires": "2001-01-01"}, 422, "expires"),
        ({"reason": ""}, 422, "reason"),
        ({"reason": "x" * 20_000}, 413, None),
        ({"unheard_of": 1}, 422, None),
        ({"cases": None}, 422, None),
    ],
)
def test_a_wrong_waiver_is_refused_and_the_field_named(
    collector: Collector, admin: str, change: dict[str, object], status: int, field: str | None
) -> None:
    answer = collector.post("/api/v1/waivers", json.dumps(WAIVER | change).encode(), admin)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_is_json_by_its_address_or_by_the_accept_header(collector: Collector, admin: str) -> None:
    by_address = collector.get("/runs/waived-1.json")
    by_accept = collector.session.get(
        f"{collector.url}/runs/waived-1", headers={"Accept": "application/json"}, timeout=30
    )
    assert by_address.headers["content-type"] == by_accept.headers["content-type"] == "application/json"
    assert by_address.json()["cases"] == by_accept.json()["cases"]
    assert collector.get("/index.json").json()["tiles"]
    absent = collector.get("/runs/nowhere.json")
    assert (absent.status_code, absent.headers["content-type"]) == (404, "application/problem+json")


def test_a_run_whose_name_ends_in_json_is_displayed_as_a_page(collector: Collector, admin: str) -> None:
    collector.open(manifest("nightly.json", CASES[:1], system="other", time_limit="87600:00:00"))
    assert "text/html" in collector.get("/runs/nightly.json").headers["content-type"]
    assert collector.get("/runs/nightly.json.json").json()["run_id"] == "nightly.json"


def test_a_badge_may_be_shown_on_other_sites_and_a_page_may_not(collector: Collector, admin: str) -> None:
    badge = collector.get("/badge/ornl/frontier/psij.svg")
    assert (badge.status_code, badge.headers["content-type"]) == (200, "image/svg+xml")
    assert badge.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "default-src 'none'" in badge.headers["content-security-policy"]
    assert "psij on frontier: fail" in badge.text
    assert collector.get("/").headers["cross-origin-resource-policy"] == "same-origin"
    assert collector.get("/badge/ornl/frontier/psij").status_code == 404
    assert collector.get("/badge/ornl/frontier/nothing.svg").status_code == 404


def test_waivers_hooks_and_the_digest_on_the_command_line(collector: Collector, admin: str) -> None:
    number = run_command(collector, "waiver", "add", "ornl", "flux/*", "--reason", "later", "--until", "2999-01-01")
    assert json.loads(run_command(collector, "waiver", "list", "--json"))[0]["cases"] == "flux/*"
    assert "flux/*" in run_command(collector, "waiver", "list")
    assert number in run_command(collector, "waiver", "end", number)
    assert run_command(collector, "waiver", "list") == "No waivers."
    refused = tool(
        collector.home, "waiver", "add", "ornl", "*", "--reason", "x", "--until", "soon", *collector.arguments
    )
    assert (refused.returncode, "--until" in refused.stderr) == (2, True)
    identity, key = run_command(collector, "hook", "new", "https://example.org/hook", "--site", "elsewhere").split()
    assert len(key) == 64
    (hook,) = json.loads(run_command(collector, "hook", "list", "--json"))
    assert (hook["id"], hook["url"], hook["waiting"]) == (identity, "https://example.org/hook", 0)
    assert identity in run_command(collector, "hook", "remove", identity)
    assert tool(collector.home, "hook", "remove", identity, *collector.arguments).returncode == 2
    facts = json.loads(run_command(collector, "digest", "--json", "--site", "ornl"))
    assert [each["case_id"] for each in facts["failing_for_days"] + facts["failing"] + facts["newly_failed"]] == [
        CASES[2]
    ]
    assert "Missing: planned, never reported: 3 cases" in run_command(collector, "digest")


def test_the_dashboard_is_exported_beside_a_running_collector(collector: Collector, admin: str, tmp_path: Path) -> None:
    assert run_command(collector, "export", "--to", str(tmp_path / "out")).endswith(f"files in {tmp_path / 'out'}")
    assert "psij" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert TOKEN not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
