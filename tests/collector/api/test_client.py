"""The typed client, against a real collector: pages, filters, retries, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from collector.api import read
from collector.status import states
from dashboard_client.errors import UploadError
from dashboard_client.reading import Collector as Reader
from dashboard_client.schema import Outcome
from dashboard_client.wire import Policy, Refused
from tests.collector.process import TOKEN, Collector
from tests.collector.samples import CASES, closing, manifest, record

SYSTEMS = ["frontier", "borg", "crusher"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A private collector with two runs of three systems, whose second run fails in one case."""
    collector = Collector(tmp_path_factory.mktemp("client"), "--private")
    for system in SYSTEMS:
        for day in (19, 20):
            run, at = f"{system}-{day}", f"2026-11-{day}T08:01:"
            collector.open(manifest(run, system=system, started=f"2026-11-{day}T08:00:00Z"))
            outcome = Outcome.FAIL if day == 20 else Outcome.PASS
            sent = [record(run, case, system=system, at=at) for case in CASES[1:]]
            collector.add(record(run, CASES[0], outcome, system=system, at=at), *sent)
            collector.close(run, closing(len(CASES)))
    yield collector
    assert collector.stop() == 0


@pytest.fixture
def reader(served: Collector) -> Iterator[Reader]:
    with Reader(served.url, TOKEN) as opened:
        yield opened


def test_cells_are_typed_and_filtered(reader: Reader) -> None:
    everything = list(reader.cells())
    assert len(everything) == len(SYSTEMS) * len(CASES)
    failing = list(reader.cells(state="failing"))
    assert {cell.case_id for cell in failing} == {CASES[0]}
    cell = next(cell for cell in failing if cell.system == "borg")
    assert (cell.outcome, cell.history, cell.first_fail_run) == ("fail", ["pass", "fail"], "borg-20")
    assert cell.last_pass == datetime(2026, 11, 19, 8, tzinfo=timezone.utc)
    assert {cell.system for cell in reader.cells(system=["borg", "crusher"])} == {"borg", "crusher"}
    assert {cell.component for cell in reader.cells(component="psij")} == {"psij"}
    assert {cell.scheduler for cell in reader.cells(scheduler="local")} == {"local"}
    assert [cell.case_id for cell in reader.cells(outcome="fail", cls="component", system="borg")] == [CASES[0]]
    assert list(reader.cells(site="elsewhere")) == []


def test_runs_and_their_records_are_read_to_the_end(reader: Reader) -> None:
    runs = list(reader.runs())
    assert [run.started.day for run in runs] == [20] * 3 + [19] * 3
    borg = [run for run in runs if run.system == "borg"]
    assert list(reader.runs(system="borg")) == borg
    records = list(reader.records(borg[0]))
    assert {each.case_id for each in records} == set(CASES)
    assert {run.run_id for run in reader.runs(release="2026.11", scheduler="slurm", outcome="fail")} == {
        f"{system}-20" for system in SYSTEMS
    }


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_every_page_of_a_list_is_requested_once(
    reader: Reader, served: Collector, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's pages have a fixed size; the client asks for the next one whatever it is."""
    asked: list[dict[str, str]] = []
    get = reader._client.get

    def small(path: str, query: Any, answer: Any) -> Any:
        asked.append(dict(query))
        return get(path, {**query, "limit": str(size)}, answer)

    monkeypatch.setattr(reader._client, "get", small)
    runs = [run.run_id for run in reader.runs()]
    assert len(runs) == len(set(runs)) == 6
    assert len(asked) == 6 // size + 1
    assert read.PAGE >= 500
    assert states.STATES


def test_changes_pages_and_notes_are_read(reader: Reader) -> None:
    (change,) = reader.changes(since="2026-11-20T00:00:00Z")
    assert (change.component, change.cls, change.cells, change.systems) == ("control", "component", 3, 3)
    assert reader.page("/")["systems"] == 3
    assert reader.page("triage", cls="component")["counts"]["open"] == 3
    assert reader.page("/systems/ornl/borg")["system"] == "borg"
    assert reader.notes() == []


def test_a_wrong_filter_and_a_missing_token_are_refused_with_the_reason(served: Collector, reader: Reader) -> None:
    with pytest.raises(Refused) as refused:
        list(reader.cells(state="nonsense"))
    assert refused.value.status == 400
    with pytest.raises(Refused) as anonymous:
        list(Reader(served.url).cells())
    assert anonymous.value.status == 401
    with pytest.raises(Refused):
        reader.page("/systems/ornl/nothing")


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://u:p@x", "https://x/?a=1", "not a url", "http://status.example.org"]
)
def test_an_address_to_which_a_token_must_not_be_sent_is_refused(url: str) -> None:
    with pytest.raises(UploadError):
        Reader(url, "secret-token")


def test_a_request_is_repeated_after_a_busy_answer_and_given_up_in_the_end() -> None:
    answers = [503, 429, 200]
    waits: list[float] = []

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = answers.pop(0) if answers else 503
            body = b'{"cells": [], "after": null}'
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    reader = Reader(f"http://127.0.0.1:{server.server_address[1]}", policy=Policy(attempts=3, sleep=waits.append))
    assert list(reader.cells()) == []
    assert waits == [7.0, 7.0]
    with pytest.raises(UploadError, match="gave up after 3 attempts"):
        list(reader.cells())
    server.shutdown()
    server.server_close()
