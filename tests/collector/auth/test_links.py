"""The printed link opens the dashboard once, for reading only; it does not contain the token that uploads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.auth.sessions import LIFETIME_SECONDS, Sessions
from tests.collector.process import TOKEN, Collector, tool
from tests.collector.samples import CASES, manifest, record


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Collector]:
    opened = Collector(tmp_path, "--private")
    for site in ("ornl", "anl"):
        opened.open(manifest(f"run-{site}", site=site))
        opened.add(record(f"run-{site}", CASES[0], site=site))
    yield opened
    assert opened.stop() == 0


def new_link(served: Collector, site: str = "*", token: str = TOKEN) -> str:
    answer = served.post("/api/v1/links", json.dumps({"site": site}).encode(), token=token)
    assert answer.status_code == 201, answer.text
    path: str = answer.json()["path"]
    return path


def test_a_link_opens_the_dashboard_once_for_reading_one_site(served: Collector) -> None:
    path = new_link(served, "ornl")
    assert TOKEN not in path
    page = served.get(path)
    assert (page.status_code, page.history[0].status_code) == (200, 303)
    assert "ornl" in page.text
    assert "anl" not in page.text
    assert page.history[0].headers["cache-control"] == "no-store"
    assert "set-cookie" not in page.history[0].headers
    again = served.get(path)
    assert again.status_code == 404
    assert "exaworks collector link" in again.text
    session = page.url.partition("token=")[2]
    assert served.get("/runs/run-ornl", token=session).status_code == 200
    assert served.get("/runs/run-anl", token=session).status_code == 404
    for path, body in (("/api/v1/runs", b"{}"), ("/api/v1/records", b"{}"), ("/api/v1/waivers", b"{}")):
        assert served.post(path, body, token=session).status_code == 403
    assert served.post("/api/v1/links", b"", token=session).status_code == 403
    message = json.dumps({"id": "a", "key": session, "data": {"test_name": "t"}}).encode()
    assert served.post("/result", message, token=None).status_code == 401


def test_only_the_token_of_the_process_creates_links(served: Collector, tmp_path: Path) -> None:
    admin = tool(tmp_path, "token", "new", "*", "--scope", "admin").stdout.strip()
    assert served.post("/api/v1/links", b"", token=admin).status_code == 403
    assert served.post("/api/v1/links", b"", token=None).status_code == 401
    assert served.post("/api/v1/links", b'{"site":"a/b"}').status_code == 422
    assert served.post("/api/v1/links", b'{"other":1}').status_code == 422


def test_the_command_prints_a_link_of_the_running_collector(served: Collector, tmp_path: Path) -> None:
    done = tool(tmp_path, "link", "--site", "anl", "--ready-file", str(tmp_path / "ready.json"))
    assert done.returncode == 0, done.stderr
    address = done.stdout.strip()
    assert address.startswith(f"{served.url}/open/")
    page = served.get(address.removeprefix(served.url))
    assert "anl" in page.text
    assert "ornl" not in page.text


def test_the_command_says_what_to_do_if_no_collector_runs(tmp_path: Path) -> None:
    done = tool(tmp_path, "link")
    assert done.returncode == 2
    assert "exaworks collector serve" in done.stderr


def test_links_and_sessions_end_and_belong_to_their_process() -> None:
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0])
    late, used = sessions.new_link(), sessions.new_link("ornl")
    token = sessions.exchange(used)
    assert token is not None
    bearer = sessions.bearer(token)
    assert bearer is not None
    assert (bearer.site, bearer.grants) == ("ornl", {"read"})
    assert sessions.exchange(used) is None
    assert Sessions().bearer(token) is None
    now[0] = LIFETIME_SECONDS
    assert sessions.exchange(late) is None
    assert sessions.bearer(token) is None
