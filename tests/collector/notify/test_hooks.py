"""Hooks: each change is reported once, by a signed request that is repeated until it is accepted; the daily digest."""

from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from collector.auth.visibility import EVERYTHING
from collector.clock import instant_ms, now_ms
from collector.errors import HookError
from collector.notify.delivery import TRIES, delivering, step
from collector.notify.digest import as_text, digest
from collector.notify.hooks import list_hooks, new_hook, remove_hook, signing_key
from collector.notify.mail import SMTP
from collector.store.database import Store
from collector.store.tables import deliveries
from collector.web.context import Server
from dashboard_client.schema import Outcome
from tests.collector.pages.test_dashboard import put
from tests.collector.process import wait_until
from tests.collector.samples import manifest, record

KEY = b"k" * 32
CASES = ["psij/a@slurm", "psij/b@slurm"]
MINUTE = 60_000


class Listener:
    """An HTTP server that receives messages; ``answers`` are its next status codes, then it answers 204."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.requests.append((dict(self.headers), body))
                self.send_response(listener.answers.pop(0) if listener.answers else 204)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()

            do_PUT = do_POST

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listening = Listener()
    yield listening
    listening.close()


def night(store: Store, day: int, *outcomes: Outcome, close: bool = True, site: str = "ornl") -> None:
    """Store a run of that day with these outcomes of the cases."""
    run_id = f"{site}-{day}"
    sent = [
        record(run_id, case, outcome, site=site, at=f"2026-11-{day}T08:01:")
        for case, outcome in zip(CASES, outcomes, strict=False)
    ]
    put(store, manifest(run_id, CASES, site=site, started=f"2026-11-{day}T08:00:00Z"), *sent, close=close)


def subscribe(store: Store, url: str, kind: str = "change", site: str | None = None, hour: int = 6) -> str:
    with store.writing() as connection:
        return new_hook(connection, url, kind, site, hour, now_ms())


def test_a_new_failure_and_a_recovery_are_each_reported_once(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    night(store, 10, Outcome.PASS, Outcome.FAIL)
    hook = subscribe(store, listener.url)
    assert step(server, now_ms()) == 0  # a failure older than the hook is not reported
    night(store, 11, Outcome.FAIL, Outcome.FAIL)
    assert step(server, now_ms()) == 1
    night(store, 12, Outcome.ERROR, Outcome.PASS)
    assert step(server, now_ms()) == 1
    assert step(server, now_ms() + MINUTE) == 0
    first, second = listener.bodies()
    assert (first["event"], first["run_id"]) == ("change", "ornl-11")
    assert [each["case_id"] for each in first["failed"]] == [CASES[0]]
    assert first["failed"][0]["cause"]["evidence"] == "greeting was 'Hello', not 'Hello World!'"
    assert first["recovered"] == []
    assert ([each["case_id"] for each in second["recovered"]], second["failed"]) == ([CASES[1]], [])
    headers, body = listener.requests[0]
    signature = hmac.new(signing_key(KEY, hook), body, hashlib.sha256).hexdigest()
    assert headers["X-ExaWorks-Signature"] == f"sha256={signature}"


def test_a_run_is_reported_when_it_is_closed_and_not_while_it_is_open(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    night(store, 10, Outcome.PASS, Outcome.PASS)
    subscribe(store, listener.url)
    night(store, 11, Outcome.FAIL, close=False)
    started = instant_ms("2026-11-11T08:00:00Z")
    assert step(server, started + MINUTE) == 0
    assert step(server, started + 7 * 60 * MINUTE) == 1  # it counts as abandoned
    assert listener.bodies()[0]["run_id"] == "ornl-11"


def test_a_new_case_is_reported_only_if_it_fails(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    subscribe(store, listener.url)
    night(store, 10, Outcome.PASS, Outcome.FAIL)
    assert step(server, now_ms()) == 1
    (body,) = listener.bodies()
    assert [each["case_id"] for each in body["failed"]] == [CASES[1]]
    assert body["recovered"] == []


def test_a_hook_of_a_site_receives_changes_of_that_site_only(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    subscribe(store, listener.url, site="llnl")
    night(store, 10, Outcome.FAIL, Outcome.FAIL, site="ornl")
    night(store, 10, Outcome.FAIL, Outcome.FAIL, site="llnl")
    assert step(server, now_ms()) == 1
    assert [body["site"] for body in listener.bodies()] == ["llnl"]


def test_a_refused_message_is_repeated_with_growing_waits_and_finally_given_up(
    store: Store, listener: Listener
) -> None:
    server = Server(store, KEY)
    subscribe(store, listener.url)
    night(store, 10, Outcome.FAIL, Outcome.PASS)
    listener.answers = [500, 302] + [503] * TRIES
    now = now_ms()
    waits = []
    for _ in range(TRIES):
        assert step(server, now) == 0
        with store.reading() as connection:
            row = connection.execute(select(deliveries)).one()
        waits.append(row.due - now)
        assert step(server, row.due - 1) == 0
        now = row.due
    assert len(listener.requests) == TRIES
    assert {body for _, body in listener.requests} == {listener.requests[0][1]}
    assert waits[:3] == [30_000, 60_000, 120_000]
    assert waits[-2] == waits[-3] * 2 or waits[-2] == 12 * 3_600_000
    assert row.due > now_ms() + 100 * 365 * 86_400_000
    with store.reading() as connection:
        (hook,) = list_hooks(connection)
    assert (hook["waiting"], hook["error"]) == (1, "the hook answered with status 503")


def test_an_unreachable_hook_does_not_delay_other_hooks(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    unreachable = Listener()
    unreachable.close()
    subscribe(store, unreachable.url)
    subscribe(store, listener.url)
    night(store, 10, Outcome.FAIL, Outcome.PASS)
    assert step(server, now_ms()) == 1
    with store.reading() as connection:
        errors = {row["url"]: row["error"] for row in list_hooks(connection)}
    assert "ConnectionError" in errors[unreachable.url]
    assert errors[listener.url] is None


def test_the_server_delivers_messages_in_the_background(store: Store, listener: Listener) -> None:
    subscribe(store, listener.url)
    night(store, 10, Outcome.FAIL, Outcome.PASS)
    with delivering(Server(store, KEY), every=30) as wake:
        wake.set()
        assert wait_until(lambda: listener.requests)
        night(store, 11, Outcome.PASS, Outcome.PASS)
        wake.set()
        assert wait_until(lambda: len(listener.requests) == 2)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "https://", "javascript:alert(1)", "mailto:a@b", "x" * 2000])
def test_an_invalid_hook_address_is_refused(store: Store, url: str) -> None:
    with pytest.raises(HookError):
        subscribe(store, url)
    with store.writing() as connection, pytest.raises(HookError):
        remove_hook(connection, "none")


def test_a_removed_hook_receives_nothing_more(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    hook = subscribe(store, listener.url)
    listener.answers = [500]
    night(store, 10, Outcome.FAIL, Outcome.PASS)
    step(server, now_ms())
    with store.writing() as connection:
        remove_hook(connection, hook)
    step(server, now_ms() + 10 * MINUTE)
    assert len(listener.requests) == 1


def history(store: Store) -> int:
    """Store some nightly runs and return an instant after them: one case failed three days ago, one in the last run."""
    night(store, 17, Outcome.FAIL, Outcome.PASS)
    night(store, 18, Outcome.FAIL, Outcome.PASS)
    night(store, 20, Outcome.FAIL, Outcome.FAIL)
    night(store, 20, Outcome.PASS, site="llnl")
    return instant_ms("2026-11-20T12:00:00Z")


def test_the_digest_separates_new_failures_old_failures_and_missing_cases(store: Store) -> None:
    now = history(store)
    with store.reading() as connection:
        facts = digest(connection, EVERYTHING, now)
    named = {name: [each["case_id"] for each in facts[name]] for name in facts if isinstance(facts[name], list)}
    assert named == {
        "silent": [],
        "newly_failed": [CASES[1]],
        "failing": [],
        "failing_for_days": [CASES[0]],
        "missing": [CASES[1]],
        "worse": [],
    }
    assert facts["missing"][0]["site"] == "llnl"
    assert "ornl/frontier  psij/b@slurm  fail since 2026-11-20T08:00:00Z" in as_text(facts)


def test_a_digest_is_sent_once_a_day_at_its_hour(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    now = history(store)
    subscribe(store, listener.url, kind="digest", hour=13)
    assert step(server, now) == 0
    assert step(server, now + 60 * MINUTE) == 1
    assert step(server, now + 120 * MINUTE) == 0
    assert step(server, now + 25 * 60 * MINUTE) == 1
    assert [body["event"] for body in listener.bodies()] == ["digest", "digest"]


def test_a_digest_is_sent_by_mail(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[str] = []

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                command = line[:4].upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        text += part
                    received.append(text.decode())
                elif command == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"250 fine\r\n")

    now = history(store)
    subscribe(store, "mailto:ops@example.org", kind="digest", hour=0)
    assert step(Server(store, KEY), now) == 0
    with store.reading() as connection:
        assert SMTP in list_hooks(connection)[0]["error"]
    with socketserver.TCPServer(("127.0.0.1", 0), Mail) as mail:
        monkeypatch.setenv(SMTP, f"127.0.0.1:{mail.server_address[1]}")
        thread = threading.Thread(target=mail.serve_forever, args=(0.02,))
        thread.start()
        assert step(Server(store, KEY), now + MINUTE) == 1
        mail.shutdown()
        thread.join()
    assert "To: ops@example.org" in received[0]
    assert "Subject: ExaWorks: 1 newly failed, 1 failing" in received[0]
    assert "psij/b@slurm" in received[0]
