"""Give the space of deleted rows back to the file system."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import Any

from collector.store.database import Store

PAGES_AT_ONCE = 1000
"""The number of pages that are given back in one step, so that writers of the server wait only briefly."""

INCREMENTAL = 2
WORTH = 0.25
"""A file of an earlier version is rewritten once at least this part of it is empty."""


def give_back(store: Store) -> int:
    """Shorten the file of a SQLite database by its empty pages, and return by how many bytes it became shorter.

    A file that an earlier version created must be rewritten for this once, which needs as much free space as the
    file has content. PostgreSQL uses the space of deleted rows again by itself.
    """
    if store.file is None:
        return 0
    before = store.file.stat().st_size
    with store.outside_transaction() as connection:
        if _value(connection, "auto_vacuum") == INCREMENTAL:
            while free := _value(connection, "freelist_count"):
                connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if _value(connection, "freelist_count") >= free:
                    break
        elif _worth_writing_anew(store, connection):
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return max(before - store.file.stat().st_size, 0)


def shorten_log(store: Store) -> None:
    """Move the write-ahead log of SQLite into the database as far as possible, so that a full disk has room again."""
    if store.file is None:
        return
    with store.outside_transaction() as connection, suppress(sqlite3.Error):  # the caller finds out by its own write
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _worth_writing_anew(store: Store, connection: Any) -> bool:
    pages, free, size = (_value(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    assert store.file is not None
    room = os.statvfs(store.file.parent)
    needed = 2 * (pages - free) * size  # the copy, and the write-ahead log through which it is copied back
    return free >= WORTH * pages and room.f_bavail * room.f_frsize > needed


def _value(connection: Any, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
