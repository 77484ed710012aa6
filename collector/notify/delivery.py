"""Delivery of messages to hooks: from a table, in a thread beside the server, repeated until the hook accepts them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import now_ms
from collector.notify.hooks import any_hooks, claim, queue_changes, queue_digests, queue_silences, signing_key
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

SMTP = "EXAWORKS_COLLECTOR_SMTP"
SENDER = "EXAWORKS_COLLECTOR_MAIL_FROM"


@contextmanager
def delivering(server: Server, every: float = EVERY_SECONDS) -> Iterator[threading.Event]:
    """Deliver messages in a thread while the context is open; set the yielded event to look for messages at once."""
    wake, stop = threading.Event(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                step(server, now_ms())
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


def step(server: Server, now: int) -> int:
    """Queue messages about changes and digests, send those that are due, and return how many were accepted."""
    with viewing(server.store, now, server.write) as connection:  # runs that are overdue by now are marked first
        if not any_hooks(connection):
            return 0
    server.write(lambda connection: queue_changes(connection, now))
    server.write(lambda connection: queue_silences(connection, now))
    server.write(lambda connection: queue_digests(connection, now))
    until = now + 1000 * TIMEOUT_SECONDS * AT_ONCE
    claimed = server.write(lambda connection: claim(connection, now, until, AT_ONCE))
    sent = 0
    for row in claimed:
        error = _send(row, server.key)
        sent += error is None
        values = _delivery_state(row.tries + 1, error, now)
        _store(server, row.id, values)
    return sent


def _store(server: Server, key: int, values: dict[str, Any]) -> None:
    statement = update(deliveries).where(deliveries.c.id == key).values(**values)
    server.write(lambda connection: connection.execute(statement))


def _delivery_state(tries: int, error: str | None, now: int) -> dict[str, Any]:
    """Return the new state of a delivery: sent, or the time of the next try; after the last try there is none."""
    if error is None:
        return {"tries": tries, "sent": now, "error": None}
    wait = min(FIRST_WAIT_MS * 2 ** (tries - 1), LONGEST_WAIT_MS)
    return {"tries": tries, "due": now + wait if tries < TRIES else 2**62, "error": error[:512]}


def _send(row: Any, key: bytes) -> str | None:
    """Send a message once; return the error, or None."""
    return _mail(row) if row.url.startswith("mailto:") else _post(row, key)


def _post(row: Any, key: bytes) -> str | None:
    import requests

    body = bytes(row.body)
    signature = hmac.new(signing_key(key, row.hook), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-ExaWorks-Event": row.name.partition(":")[0],
        "X-ExaWorks-Delivery": str(row.id),
        "X-ExaWorks-Signature": f"sha256={signature}",
    }
    try:
        answer = requests.post(
            row.url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        )
        answer.close()
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    return None if 200 <= answer.status_code < 300 else f"the hook answered with status {answer.status_code}"


def _mail(row: Any) -> str | None:
    import smtplib
    from email.message import EmailMessage

    from collector.notify.digest import as_text

    address = os.environ.get(SMTP)
    if not address:
        return f"no mail server: set {SMTP} to host:port in the environment of the collector"
    host, _, port = address.partition(":")
    facts = json.loads(bytes(row.body))
    message = EmailMessage()
    message["Subject"] = (
        f"ExaWorks: {len(facts['newly_failed'])} newly failed, {len(facts['failing_for_days'])} failing, "
        f"{len(facts['missing'])} missing, {len(facts['silent'])} silent"
    )
    message["From"] = os.environ.get(SENDER) or f"exaworks@{host}"
    message["To"] = row.url.removeprefix("mailto:").partition("?")[0]
    message.set_content(as_text(facts))
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT_SECONDS) as server:
            server.send_message(message)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None
