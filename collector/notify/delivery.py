"""Delivery of messages to hooks: from a table, in a thread beside the server, repeated until the hook accepts them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import iso, now_ms
from collector.notify.events import queue_regressions, queue_waivers
from collector.notify.hooks import (
    CHANGE,
    any_hooks,
    claim,
    queue_changes,
    queue_digests,
    queue_silences,
    signing_key,
)
from collector.notify.mail import send_mail
from collector.notify.options import HookOptions, read_options
from collector.notify.shapes import Request, make_message, shaped
from collector.store.overdue import viewing
from collector.store.tables import deliveries
from collector.web.context import Server

log = logging.getLogger("collector")

EVERY_SECONDS = 10.0
TIMEOUT_SECONDS = 10
TRIES = 12
FIRST_WAIT_MS = 30_000
LONGEST_WAIT_MS = 12 * 3_600_000
AT_ONCE = 20
HOUR_MS = 3_600_000


@contextmanager
def delivering(server: Server, every: float = EVERY_SECONDS) -> Iterator[threading.Event]:
    """Deliver messages in a thread while the context is open; set the yielded event to look for messages at once."""
    wake, stop = threading.Event(), threading.Event()

    def run() -> None:
        checked = None
        while not stop.is_set():
            now = now_ms()
            try:
                step(server, now, site_files=checked != now // HOUR_MS)
                checked = now // HOUR_MS
            except SQLAlchemyError as error:
                log.error("hooks: %s", getattr(error, "orig", None) or error)
            wake.wait(every)
            wake.clear()

    thread = threading.Thread(target=run, name="hooks", daemon=True)
    thread.start()
    try:
        yield wake
    finally:
        stop.set()
        wake.set()
        thread.join(timeout=TIMEOUT_SECONDS + 2)


def step(server: Server, now: int, site_files: bool = True) -> int:
    """Queue messages about changes and digests, send those that are due, and return how many were accepted.

    ``site_files``: also look for waivers of site files that end soon, which is expensive with many systems.
    """
    with viewing(server.store, now, server.write) as connection:  # runs that are overdue by now are marked first
        if not any_hooks(connection):
            return 0
    server.write(lambda connection: queue_changes(connection, now))
    server.write(lambda connection: queue_silences(connection, now))
    server.write(lambda connection: queue_regressions(connection, now))
    server.write(lambda connection: queue_waivers(connection, now, site_files))
    server.write(lambda connection: queue_digests(connection, now))
    until = now + 1000 * TIMEOUT_SECONDS * AT_ONCE
    claimed = server.write(lambda connection: claim(connection, now, until, AT_ONCE))
    sent = 0
    for rows in _together(claimed):
        error = _send(rows, server.key, server.public_url)
        sent += len(rows) if error is None else 0
        for row in rows:
            _store(server, row.id, _delivery_state(row.tries + 1, error, now))
    return sent


def send_test(url: str, options: HookOptions, key: bytes, identity: str, public_url: str | None) -> str | None:
    """Send a message to a hook that says that it is a test; return the error, or None."""
    body = {"event": "test", "at": iso(now_ms()), "about": "A test of this hook: exaworks collector hook test"}
    packed = msgspec.json.encode(options).decode()
    row = SimpleNamespace(id=f"test-{secrets.token_hex(4)}", hook=identity, url=url, name="test", options=packed)
    row.body, row.kind = json.dumps(body).encode(), "change"
    return _send([row], key, public_url)


def _together(claimed: Sequence[Any]) -> list[list[Any]]:
    """Return the deliveries in groups that are sent as one message: those of one hook of a chat."""
    groups: dict[Any, list[Any]] = {}
    for row in claimed:
        alone = row.kind != CHANGE or read_options(row.options).shape == "json"
        groups.setdefault(row.id if alone else row.hook, []).append(row)
    return list(groups.values())


def _store(server: Server, key: int, values: dict[str, Any]) -> None:
    statement = update(deliveries).where(deliveries.c.id == key).values(**values)
    server.write(lambda connection: connection.execute(statement))


def _delivery_state(tries: int, error: str | None, now: int) -> dict[str, Any]:
    """Return the new state of a delivery: sent, or the time of the next try; after the last try there is none."""
    if error is None:
        return {"tries": tries, "sent": now, "error": None}
    wait = min(FIRST_WAIT_MS * 2 ** (tries - 1), LONGEST_WAIT_MS)
    return {"tries": tries, "due": now + wait if tries < TRIES else 2**62, "error": error[:512]}


def _send(rows: Sequence[Any], key: bytes, public_url: str | None) -> str | None:
    """Send one message about some deliveries of one hook; return the error, or None."""
    row, options = rows[0], read_options(rows[0].options)
    if row.url.startswith("mailto:"):
        return send_mail(row.url, json.loads(bytes(row.body)))
    if options.shape == "json" or row.kind != CHANGE:
        body = bytes(row.body)
        signature = hmac.new(signing_key(key, row.hook), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-ExaWorks-Event": row.name.partition(":")[0],
            "X-ExaWorks-Delivery": str(row.id),
            "X-ExaWorks-Signature": f"sha256={signature}",
        }
        return _request(Request("POST", row.url, body, headers))
    token = os.environ.get(options.token_variable) if options.token_variable else None
    if options.token_variable and not token:
        return f"no token: set {options.token_variable} in the environment of the collector"
    message = make_message([json.loads(bytes(each.body)) for each in rows], public_url)
    request = shaped(options.shape, message, row.url, row.id, token)
    return None if request is None else _request(request)


def _request(request: Request) -> str | None:
    import requests

    try:
        answer = requests.request(
            request.method,
            request.url,
            data=request.body,
            headers=request.headers,
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        )
        answer.close()
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    return None if 200 <= answer.status_code < 300 else f"the hook answered with status {answer.status_code}"
