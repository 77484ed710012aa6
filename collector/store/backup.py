"""A whole database in one file and back, whichever of the two databases it is: also the way from one to the other.

The file is gzip: a header, then each table in blocks of rows, then the number of rows of each; every part is
MessagePack behind its length. It is read in one transaction, so it is one state of the database, while the server goes
on. The key of the tokens is not in it: without the key file beside the database, tokens have to be made anew.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, text

from collector.clock import iso, now_ms
from collector.errors import BackupError
from collector.store.database import Store
from collector.store.tables import HEAD, metadata

MAGIC = "exaworks-collector-backup"
_ROWS = 500
_LONGEST = 2**31


class Header(msgspec.Struct, frozen=True):
    """The first part of the file."""

    magic: str
    schema: str
    made: str


def backup(store: Store, file: Path) -> dict[str, int]:
    """Write a backup and return the number of rows of each table; an existing file is left alone.

    Raises:
        BackupError: the file is there already, or cannot be written.
    """
    if file.exists():
        raise BackupError(f"{file} is there already: name another file.")
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with (
                gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=3) as out,
                store.reading() as connection,
            ):
                counts = _write(connection, out)
            raw.flush()
            os.fsync(raw.fileno())
        fresh.replace(file)
    except OSError as error:
        raise BackupError(f"{file}: cannot be written: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return counts


def restore(store: Store, file: Path) -> dict[str, int]:
    """Fill an empty database from a backup, all of it or nothing, and return the number of rows of each table.

    Raises:
        BackupError: the database is not empty, or the file is damaged, none of ours or of another schema.
    """
    try:
        with file.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream, store.writing() as connection:
            return _read(connection, stream, file)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise BackupError(f"{file}: cannot be read as a backup: {error}") from error


def _write(connection: Connection, out: gzip.GzipFile) -> dict[str, int]:
    counts: dict[str, int] = {}
    _put(out, Header(MAGIC, HEAD, iso(now_ms())))
    for table in metadata.sorted_tables:
        counts[str(table.name)] = 0
        query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_ROWS)
        for rows in connection.execute(query).partitions():
            _put(out, (str(table.name), [str(c.name) for c in table.c], [tuple(row) for row in rows]))
            counts[str(table.name)] += len(rows)
    _put(out, counts)
    return counts


def _read(connection: Connection, stream: gzip.GzipFile, file: Path) -> dict[str, int]:
    parts = _parts(stream)
    header = msgspec.msgpack.decode(next(parts, b"\xc0"), type=Header)
    if header.magic != MAGIC:
        raise BackupError(f"{file}: is no backup of a collector.")
    if header.schema != HEAD:
        raise BackupError(
            f"{file}: is of schema {header.schema}, this collector has {HEAD}. Restore it with the exaworks that made "
            "it; opening that database with this one then brings it up to date."
        )
    tables = {str(table.name): table for table in metadata.sorted_tables}
    for table in tables.values():
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise BackupError("the database is not empty: restore into a new one.")
    counts = dict.fromkeys(tables, 0)
    told: Any = None
    for part in parts:
        told = msgspec.msgpack.decode(part)
        if isinstance(told, dict):
            break
        name, columns, rows = told
        connection.execute(insert(tables[name]), [dict(zip(columns, row, strict=True)) for row in rows])
        counts[name] += len(rows)
    if told != counts:
        raise BackupError(f"{file}: ends in the middle; nothing was restored.")
    if connection.dialect.name == "postgresql":
        _go_on_counting(connection)
    return counts


def _go_on_counting(connection: Connection) -> None:
    """Set the sequences behind the keys that were restored."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        named = {"table": table.name, "column": column.name}
        sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), named).scalar()
        highest = connection.execute(select(func.max(column))).scalar()
        if sequence is not None and highest is not None:
            connection.execute(text("SELECT setval(:name, :value)"), {"name": sequence, "value": highest})


def _put(out: gzip.GzipFile, value: Any) -> None:
    packed = msgspec.msgpack.encode(value)
    out.write(len(packed).to_bytes(4, "big") + packed)


def _parts(stream: gzip.GzipFile) -> Iterator[bytes]:
    while True:
        size = stream.read(4)
        if not size:
            return
        length = int.from_bytes(size, "big")
        part = stream.read(length) if len(size) == 4 and length < _LONGEST else b""
        if len(part) != length or not part:
            raise EOFError("it ends in the middle")
        yield part
