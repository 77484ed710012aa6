"""The condition of the database: whether it can be written, and in words why not."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from collector.errors import Problem
from collector.store.database import Store
from collector.store.tables import HEAD

MIN_FREE_BYTES = 32 * 1024 * 1024
"""With less free space than this beside a SQLite database, the server is not ready: a batch of records can need it."""

_REASONS = (
    ("disk-full", "the disk of the database is full", ("disk is full", "no space left", "53100")),
    ("read-only", "the database is read-only", ("readonly database", "25006")),
    ("disk-error", "the disk of the database reports an error", ("disk i/o error", "58030")),
    ("damaged", "the file of the database is damaged", ("malformed", "not a database", "xx001", "xx002")),
    ("busy", "another process has been writing to the database for too long", ("is locked", "55p03")),
    ("cannot-open", "the file of the database cannot be opened", ("unable to open",)),
)

ADVICE = {
    "disk-full": "Free space on that disk, or move the database to a larger one.",
    "read-only": "Check the mount and the permissions of the file and its folder, or the role of the server.",
    "damaged": "Stop the collector and restore a backup.",
}


def reason_of(error: Exception) -> tuple[str, str] | None:
    """Return the kind and the words for an error of the database that its operator can repair; None for others."""
    original = getattr(error, "orig", None) or error
    texts = f"{getattr(original, 'sqlstate', None) or ''} {original}".lower()
    return next(((kind, words) for kind, words, marks in _REASONS if any(mark in texts for mark in marks)), None)


def unavailable(kind: str, words: str) -> Problem:
    """Return the problem that nothing can be stored now."""
    return Problem(503, f"database-{kind}", f"Nothing was stored: {words}. Send the request again later.")


def check_writable(store: Store) -> None:
    """Write to the database, without changing a value.

    Raises:
        Problem: 503, it cannot be written, has the schema of another version, or has little space left.
    """
    file = store.file
    if file is not None:
        _check_file(file)
    try:
        with store.reading() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if revision != HEAD:
            words = f"the database has schema {revision}, and this process needs {HEAD}; restart it with one version"
            raise unavailable("schema", words)
        with store.writing() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
    except DBAPIError as error:
        kind, words = reason_of(error) or ("unavailable", "the database does not answer")
        raise unavailable(kind, words) from error


def _check_file(file: Path) -> None:
    """Check what a write into the log of SQLite does not notice: a removed file, and a disk that is almost full."""
    try:
        room = os.statvfs(file.parent)
        present = file.exists()
    except OSError:
        present = False
    if not present:
        raise unavailable("removed", f"the file {file.name} of the database was removed or its disk is gone")
    if room.f_bavail * room.f_frsize < MIN_FREE_BYTES:
        free = room.f_bavail * room.f_frsize // 1024
        raise unavailable("disk-full", f"the disk of the database is almost full, {free} KB are free")
