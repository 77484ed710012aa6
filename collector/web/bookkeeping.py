"""Store what a server process noted about its requests: refused requests, its counters, and its own state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from collector.clock import now_ms
from collector.status.metrics import resident_memory
from collector.store.counters import ProcessState, add_counters, forget_process, note_process
from collector.store.log import add_refusals
from collector.web.context import Server

log = logging.getLogger("collector")

EVERY_SECONDS = 10.0


def store_notes(server: Server, idle_too: bool = True) -> None:
    """Write the refused requests, the counters and the state of this process to the database.

    ``idle_too``: also if there was no request.

    If that fails, the error is logged, and the counters are kept for the next time.
    """
    refusals, counted, now = server.refusals.take(), server.counters.take(), now_ms()
    if not idle_too and server.store.file is not None and not refusals and not counted:
        return  # only one process serves a SQLite file, so nobody needs to know that it is alive
    process = ProcessState(server.name, server.started, resident_memory())

    def store(connection: Connection) -> None:
        add_counters(connection, counted)
        note_process(connection, process, now)
        if refusals:
            add_refusals(connection, now, refusals)

    try:
        server.write(store)
    except SQLAlchemyError as error:
        server.counters.put_back(counted)
        log.error("cannot store the audit log and the counters: %s", getattr(error, "orig", None) or error)


@contextmanager
def keeping_books(server: Server, every: float = EVERY_SECONDS) -> Iterator[None]:
    """Store notes in a thread while the context is open, and once more at its end."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every):
            store_notes(server, idle_too=False)

    thread = threading.Thread(target=run, name="bookkeeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=every)
        store_notes(server)
        with suppress(SQLAlchemyError):
            server.write(lambda connection: forget_process(connection, server.name))
