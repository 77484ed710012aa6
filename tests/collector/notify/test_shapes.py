"""Messages in the shapes of chats and issue trackers, subscriptions, quiet hours, and tests of a hook."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from collector.clock import instant_ms, now_ms
from collector.errors import HookError
from collector.notify.delivery import step
from collector.notify.hooks import new_hook
from collector.notify.mail import PASSWORD_FILE, SMTP, STARTTLS, USER, send_mail
from collector.notify.options import HookOptions, make_options
from collector.notify.shapes import make_message, shaped
from collector.status.waivers import WaiverRequest, add_waiver
from collector.store.database import Store
from collector.web.context import Server
from dashboard_client.schema import Outcome, Waiver
from tests.collector.notify.test_hooks import KEY, MINUTE, Listener, listener, night
from tests.collector.pages.test_dashboard import put
from tests.collector.process import tool
from tests.collector.samples import manifest, record

__all__ = ["listener"]  # the fixture

PUBLIC = "https://status.example.org"
EVIL = "<b>@all & [x](javascript:1) *"


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A payload as its receiver documents it."""


class Slack(Strict):
    text: str


class Mattermost(Strict):
    text: str


class TextBlock(Strict, tag_field="type", tag="TextBlock"):
    text: str
    wrap: bool
    weight: Literal["Bolder", "Default"] = "Default"


class OpenUrl(Strict, tag_field="type", tag="Action.OpenUrl"):
    title: str
    url: str


class Card(Strict, tag_field="type", tag="AdaptiveCard", rename={"schema": "$schema"}):
    schema: str
    version: str
    body: list[TextBlock]
    actions: list[OpenUrl] = []


class Attachment(Strict):
    contentType: Literal["application/vnd.microsoft.card.adaptive"]
    contentUrl: None
    content: Card


class Teams(Strict, tag_field="type", tag="message"):
    attachments: list[Attachment]


class Matrix(Strict):
    msgtype: Literal["m.notice"]
    body: str
    format: Literal["org.matrix.custom.html"]
    formatted_body: str


class GitLab(Strict):
    title: str
    description: str
    labels: str


PAYLOADS: dict[str, type] = {
    "slack": Slack,
    "mattermost": Mattermost,
    "teams": Teams,
    "matrix": Matrix,
    "gitlab": GitLab,
}


def failure(system: str, case: str = "parsl/a@slurm", evidence: str = "ImportError") -> dict[str, Any]:
    cause = {
        "class": "distribution",
        "phase": "run",
        "rule": "import",
        "evidence": evidence,
        "key": None,
        "title": None,
    }
    failed = [{"case_id": case, "outcome": "fail", "version": "1", "cause": cause}]
    return {"event": "change", "site": "ornl", "system": system, "run_id": "r1", "failed": failed, "recovered": []}


EVENTS: list[list[dict[str, Any]]] = [
    [failure("dane")],
    [failure(f"s{n}") for n in range(7)] + [failure("dane", evidence="other")],
    [failure("dane", evidence=EVIL)],
    [{"event": "silent", "site": "ornl", "system": "dane", "since": "2026-11-20T08:00:00Z", "contact": None}],
    [
        {"event": "regression", "site": "ornl", "system": "dane", "case_id": "parsl/a@slurm", "name": "rate"}
        | {"unit": "1/s", "usual": 100.0, "now": 50.0, "better": "higher", "since": "2026-11-20T08:00:00Z"}
    ],
    [{"event": "waiver", "site": "ornl", "cases": "parsl/*", "reason": "why", "last_day": "2026-12-01", "id": 1}],
    [{"event": "test", "at": "2026-11-20T08:00:00Z", "about": "x"}],
]


@pytest.mark.parametrize("shape", PAYLOADS)
@pytest.mark.parametrize("events", EVENTS, ids=lambda events: f"{len(events)} {events[0]['event']}")
@pytest.mark.parametrize("public", [PUBLIC, None])
def test_every_event_has_a_valid_payload_in_every_shape(
    shape: str, events: Sequence[dict[str, Any]], public: str | None
) -> None:
    message = make_message(events, public)
    request = shaped(shape, message, "https://chat.example.org/hook", 7, "secret")
    if shape == "gitlab" and events[0]["event"] != "change":
        assert request is None  # an issue is about a failure
        return
    assert request is not None
    msgspec.json.decode(request.body, type=PAYLOADS[shape])
    text = request.body.decode()
    assert (f"{PUBLIC}/" in text) is (public is not None)
    assert "secret" not in text
    assert request.method == ("PUT" if shape == "matrix" else "POST")
    assert request.url.endswith("/exaworks-7") is (shape == "matrix")


def test_one_cause_on_many_systems_is_one_line() -> None:
    message = make_message(EVENTS[1], PUBLIC)
    assert message.title == "ExaWorks: 8 cases newly failing on ornl/s0, ornl/s1, ornl/s2 and 5 more"
    assert message.lines == (
        "distribution: ImportError: parsl/a@slurm on ornl/s0, ornl/s1, ornl/s2 and 4 more",
        "distribution: other: parsl/a@slurm on ornl/dane",
    )
    assert message.link == f"{PUBLIC}/triage?change=new&since=24h"


@pytest.mark.parametrize("shape", PAYLOADS)
def test_text_of_a_failure_is_not_interpreted_by_the_receiver(shape: str) -> None:
    request = shaped(shape, make_message(EVENTS[2], PUBLIC), "https://chat.example.org/hook", 7, "t")
    assert request is not None
    decoded = json.loads(request.body)
    text = {
        "slack": lambda: decoded["text"],
        "mattermost": lambda: decoded["text"],
        "teams": lambda: decoded["attachments"][0]["content"]["body"][1]["text"],
        "matrix": lambda: decoded["formatted_body"],
        "gitlab": lambda: decoded["description"],
    }[shape]()
    assert "<b>@" not in text
    assert "[x](javascript" not in text or shape in ("slack", "matrix")  # these have no such links


def test_failures_of_several_systems_with_one_cause_are_one_message_of_a_chat(store: Store, listener: Listener) -> None:
    server = Server(store, KEY, public_url=PUBLIC)
    for site in ("ornl", "llnl", "anl"):
        night(store, 10, Outcome.PASS, Outcome.PASS, site=site)
    with store.writing() as connection:
        new_hook(connection, listener.url, "change", None, None, now_ms(), make_options("slack", gather=5))
    now = now_ms()
    for number, site in enumerate(("ornl", "llnl", "anl")):
        night(store, 11, Outcome.FAIL, Outcome.PASS, site=site)
        assert step(server, now + number * MINUTE) == 0
    assert step(server, now + 6 * MINUTE) == 3
    (body,) = listener.bodies()
    assert body["text"].startswith(f"<{PUBLIC}/triage?change=new&since=24h|ExaWorks: 3 cases newly failing on ")
    assert body["text"].count("\n") == 1
    assert step(server, now + 60 * MINUTE) == 0


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({}, 2),
        ({"components": ["psij"]}, 2),
        ({"components": ["parsl"]}, 0),
        ({"owners": ["somebody"]}, 0),
        ({"classes": ["component"]}, 1),
        ({"classes": ["scheduler"]}, 1),
        ({"classes": ["site"]}, 0),
        ({"events": ["silent"]}, 0),
    ],
)
def test_a_hook_receives_what_it_subscribed_to(
    store: Store, listener: Listener, options: dict[str, Any], received: int
) -> None:
    server = Server(store, KEY)
    night(store, 10, Outcome.PASS, Outcome.PASS)
    with store.writing() as connection:
        new_hook(connection, listener.url, "change", None, None, now_ms(), make_options(**options))
    night(store, 11, Outcome.FAIL, Outcome.INFRA)
    step(server, now_ms())
    assert sum(len(body["failed"]) for body in listener.bodies()) == received


@pytest.mark.parametrize(
    ("quiet", "now", "due"),
    [
        ("22-6", "2026-11-20T23:30:00Z", "2026-11-21T06:00:00Z"),
        ("22-6", "2026-11-20T05:59:59Z", "2026-11-20T06:00:00Z"),
        ("22-6", "2026-11-20T06:00:00Z", "2026-11-20T06:00:00Z"),
        ("22-6", "2026-11-20T21:59:00Z", "2026-11-20T21:59:00Z"),
        ("1-5", "2026-11-20T03:00:00Z", "2026-11-20T05:00:00Z"),
        ("1-5", "2026-11-20T23:00:00Z", "2026-11-20T23:00:00Z"),
    ],
)
def test_a_message_of_the_quiet_hours_waits_for_their_end(quiet: str, now: str, due: str) -> None:
    assert make_options(quiet=quiet).due(instant_ms(now)) == instant_ms(due)


@pytest.mark.parametrize(
    "wrong",
    [{"quiet": "22"}, {"quiet": "6-6"}, {"quiet": "1-24"}, {"quiet": "a-b"}, {"classes": ["me"]}, {"shape": "matrix"}],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(HookError):
        make_options(**wrong)


def test_a_waiver_that_ends_soon_is_reported_once(store: Store, listener: Listener) -> None:
    server = Server(store, KEY)
    night(store, 10, Outcome.PASS, Outcome.PASS)
    today = datetime.now(timezone.utc).date()
    with store.writing() as connection:
        new_hook(connection, listener.url, "change", None, None, now_ms(), make_options(events=["waiver"]))
        for days in (2, 30):
            expires = (today + timedelta(days=days)).isoformat()
            add_waiver(connection, WaiverRequest(site="ornl", cases="x", reason=f"{days}", expires=expires), None)
    for _ in range(2):
        step(server, now_ms())
    (body,) = listener.bodies()
    assert (body["event"], body["reason"], body["last_day"]) == ("waiver", "2", (today + timedelta(days=2)).isoformat())


def test_a_waiver_of_a_site_file_that_ends_soon_is_reported_once_for_each_system(
    store: Store, listener: Listener
) -> None:
    server, today = Server(store, KEY), datetime.now(timezone.utc).date()

    def opened(run: str, system: str, **days: int) -> None:
        waived = [
            Waiver(cases=f"{name}/*", reason=name, expires=(today + timedelta(days=number)).isoformat(), owner="us")
            for name, number in days.items()
        ]
        opening = manifest(run, ["psij/a@slurm"], system=system)
        put(store, msgspec.structs.replace(opening, waivers=waived), record(run, "psij/a@slurm", system=system))

    with store.writing() as connection:
        for events, components in ((["waiver"], ["psij"]), (["change"], [])):
            options = make_options(events=events, components=components)
            new_hook(connection, listener.url, "change", None, None, now_ms(), options)
    opened("r1", "dane", psij=2, parsl=2)
    opened("r2", "borg", psij=30)
    for _ in range(2):
        step(server, now_ms())
    waived = [body for body in listener.bodies() if body["event"] == "waiver"]
    assert [(body["system"], body["cases"], body["source"]) for body in waived] == [("dane", "psij/*", "site file")]
    assert (waived[0]["last_day"], waived[0]["owner"]) == ((today + timedelta(days=2)).isoformat(), "us")
    opened("r3", "dane", psij=5)  # extended in the site file, and about to end again
    opened("r4", "borg", psij=5)
    step(server, now_ms(), site_files=False)
    assert len([body for body in listener.bodies() if body["event"] == "waiver"]) == 1
    step(server, now_ms())
    assert len([body for body in listener.bodies() if body["event"] == "waiver"]) == 3


def test_the_command_sends_a_test_message_and_reports_an_error(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = tool(tmp_path, "hook", "new", listener.url, "--shape", "matrix", "--token-variable", "CHAT_TOKEN")
    identity = added.stdout.split()[0]
    refused = tool(tmp_path, "hook", "test", identity)
    assert (refused.returncode, "set CHAT_TOKEN" in refused.stderr) == (2, True)
    monkeypatch.setenv("CHAT_TOKEN", "s3cret")
    assert tool(tmp_path, "hook", "test", identity, "--public-url", PUBLIC).stdout.endswith("accepted the message.\n")
    listener.answers = [500]
    failed = tool(tmp_path, "hook", "test", identity)
    assert "answered with status 500" in failed.stderr
    assert tool(tmp_path, "hook", "test", "nothing").returncode == 2
    assert "matrix" in tool(tmp_path, "hook", "list").stdout


def test_a_password_is_never_sent_without_encryption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SMTP, "127.0.0.1:9")
    monkeypatch.setenv(USER, "me")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    error = send_mail("mailto:a@example.org", {"event": "test", "about": "x"})
    assert error is not None
    assert f"{USER} needs {STARTTLS}=yes" in error


def test_a_mail_server_that_offers_no_encryption_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    class Plain(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 plain\r\n")
            for line in self.rfile:
                received.append(line)
                word = line[:4].upper()
                answers = {b"EHLO": b"250 plain\r\n", b"QUIT": b"221 bye\r\n"}
                self.wfile.write(answers.get(word, b"502 no\r\n"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv(SMTP, f"127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv(STARTTLS, "yes")
        error = send_mail("mailto:a@example.org", {"event": "test", "about": "x"})
        server.shutdown()
    assert error is not None
    assert "STARTTLS" in error
    assert not any(line.upper().startswith(b"MAIL") for line in received)


def test_the_options_of_a_hook_survive_the_database() -> None:
    options = make_options("slack", ["change"], ["parsl"], ["me"], ["site"], "22-6", 3)
    assert msgspec.json.decode(msgspec.json.encode(options), type=HookOptions) == options
