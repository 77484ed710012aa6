"""Notes about causes: by whom, where they are shown, when they end, and what the audit log keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collector.clock import now_ms
from collector.status.triage import TriageRequest, note_of, set_note, triage_notes
from collector.store.database import Store
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import EVERYTHING, ask, put
from tests.collector.process import TOKEN, Collector, tool
from tests.collector.samples import CASES, closing, manifest, record

SOON = (datetime.now(timezone.utc) + timedelta(days=5)).date().isoformat()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, dict[str, str]]]:
    """A private collector with failures of two sites, and tokens by scope."""
    home = tmp_path_factory.mktemp("triage")
    tokens = {
        name: tool(home, "token", "new", site, "--scope", scope).stdout.strip()
        for name, site, scope in (("ornl", "ornl", "triage"), ("all", "*", "triage"), ("read", "*", "read"))
    }
    collector = Collector(home, "--private")
    for site in ("ornl", "llnl"):
        collector.open(manifest(f"run-{site}", site=site))
        collector.add(*(record(f"run-{site}", case, Outcome.FAIL, site=site) for case in CASES))
        collector.close(f"run-{site}", closing(len(CASES)))
    yield collector, tokens
    assert collector.stop() == 0


def _key(collector: Collector) -> str:
    groups = collector.get("/triage.json", token=TOKEN).json()["groups"]
    key: str = groups[0]["key"]
    return key


def test_a_person_notes_owner_link_and_snooze_and_the_audit_log_has_a_line(
    served: tuple[Collector, dict[str, str]],
) -> None:
    collector, tokens = served
    key = _key(collector)
    body = {"cause_key": key, "site": "ornl", "owner": "ann", "link": "https://bugs.example.org/1", "until": SOON}
    answer = collector.post("/api/v1/triage", json.dumps(body).encode(), token=tokens["ornl"])
    assert (answer.status_code, answer.json()["stored"]) == (200, True)
    groups = collector.get("/triage.json", token=TOKEN).json()["groups"]
    by_section = {group["section"]: group for group in groups}
    assert {case["site"] for case in by_section["snoozed"]["cases"]} == {"ornl"}
    assert {case["site"] for case in by_section["open"]["cases"]} == {"llnl"}
    assert {case["owner"] for case in by_section["snoozed"]["cases"]} == {"ann"}
    assert by_section["snoozed"]["notes"][0]["snoozed_until"] == SOON
    lines = [json.loads(line) for line in tool(collector.home, "log").stdout.splitlines()]
    entry = next(each for each in lines if each["action"] == "triage.set")
    assert (entry["site"], entry["subject"]) == ("ornl", key)
    assert entry["writer"].startswith("token:")
    assert "owner ann" in entry["detail"]


@pytest.mark.parametrize(
    ("token", "change", "status"),
    [
        ("read", {}, 403),
        ("ornl", {"site": "llnl"}, 403),
        ("ornl", {"site": "*"}, 403),
        ("all", {"cause_key": "no-such-cause"}, 404),
        ("all", {"link": "javascript:alert(1)"}, 422),
        ("all", {"until": "2001-01-01"}, 422),
        ("all", {"until": "9999-12-31"}, 422),
        ("all", {"note": "x" * 1025}, 422),
        ("all", {"nonsense": 1}, 422),
        (None, {}, 401),
    ],
)
def test_a_note_is_refused_if_the_token_or_a_field_is_wrong(
    served: tuple[Collector, dict[str, str]], token: str | None, change: dict[str, Any], status: int
) -> None:
    collector, tokens = served
    body = {"cause_key": _key(collector), "site": "ornl", "owner": "x", **change}
    answer = collector.post("/api/v1/triage", json.dumps(body).encode(), tokens[token] if token else None)
    assert answer.status_code == status, answer.text


def test_the_form_of_the_page_stores_a_note_and_leads_back(served: tuple[Collector, dict[str, str]]) -> None:
    collector, tokens = served
    key = _key(collector)
    page = collector.session.get(f"{collector.url}/triage?token={tokens['all']}").text
    assert 'method="post"' in page
    assert 'method="post"' not in collector.session.get(f"{collector.url}/triage?token={tokens['read']}").text
    form = {"cause_key": key, "owner": "", "note": "disk & <fan>", "link": "", "until": ""}
    address = f"{collector.url}/triage?token={tokens['all']}"
    answer = collector.session.post(address, data=form, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert parse_qs(urlsplit(answer.headers["Location"]).query) == {"cause": [key], "token": [tokens["all"]]}
    assert "disk &amp; &lt;fan&gt;" in collector.session.get(collector.url + answer.headers["Location"]).text
    assert collector.session.post(f"{collector.url}/triage", data=form, allow_redirects=False).status_code == 401
    listed = collector.get("/api/v1/triage", token=TOKEN).json()["notes"]
    assert {"*"} <= {each["site"] for each in listed}


def test_a_note_of_a_site_comes_before_one_of_every_site_and_an_empty_one_removes_it(store: Store) -> None:
    put(store, manifest("r1", CASES[:1]), record("r1", CASES[0], Outcome.FAIL))
    key = ask(store, "/triage")["groups"][0]["key"]
    with store.writing() as connection:
        assert set_note(connection, TriageRequest(key, owner="all"), "user:a")
        assert set_note(connection, TriageRequest(key, site="ornl", owner="one"), "user:b")
    assert ask(store, "/triage")["groups"][0]["owners"] == ["one"]
    with store.writing() as connection:
        assert not set_note(connection, TriageRequest(key, site="ornl"), "user:b")
        note = note_of(triage_notes(connection, EVERYTHING), "ornl", key)
    assert note is not None
    assert (note.owner, note.changed_by) == ("all", "user:a")


def test_a_snooze_ends_after_its_last_day(store: Store) -> None:
    put(store, manifest("r1", CASES[:1]), record("r1", CASES[0], Outcome.FAIL))
    key = ask(store, "/triage")["groups"][0]["key"]
    with store.writing() as connection:
        set_note(connection, TriageRequest(key, until=SOON), "user:a")
    assert ask(store, "/triage", now=now_ms())["counts"]["snoozed"] == 1
    assert ask(store, "/triage", now=now_ms() + 7 * 86_400_000)["counts"]["open"] == 1


def test_the_command_line_notes_and_lists(tmp_path: Path) -> None:
    assert "No notes." in tool(tmp_path, "triage", "list").stdout
    refused = tool(tmp_path, "triage", "set", "nothing", "--owner", "x")
    assert (refused.returncode, "No failure with the cause" in refused.stderr) == (2, True)
