"""Backup of a whole database to one file, and restore into either kind of database.

The file is a gzip stream of parts: a header, then the rows of each table in blocks, then the number of rows of each
table. Each part is a MessagePack value after its length (4 bytes, big-endian). All rows are read in one transaction, so
the file holds one state of the database while the server continues. The key of the tokens is not in the file: without
``token.key``, all tokens must be created again.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text

from collector.clock import iso, now_ms
from collector.errors import BackupError
from collector.store.database import Store
from collector.store.months import PLAIN_END, forget_numbers, prepare_months
from collector.store.tables import (
    HEAD,
    RECORD_BITS,
    bodies,
    counters,
    key_checks,
    log_entries,
    metadata,
    processes,
    runs,
)

MAGIC = "exaworks-collector-backup"
_ROWS = 500

_OF_SERVER = (key_checks, counters, processes, log_entries)
"""What a server writes when it starts. A database that contains nothing else is empty."""

_MAX_PART_BYTES = 2**31


class Header(msgspec.Struct, frozen=True):
    """The first part of the file."""

    magic: str
    schema: str
    created: str = msgspec.field(name="made")


def backup(store: Store, file: Path) -> dict[str, int]:
    """Write a backup and return the number of rows of each table. An existing file is never overwritten.

    Raises:
        BackupError: the file exists already, or cannot be written.
    """
    if file.exists():
        raise BackupError(f"{file} exists already. Name another file.")
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
    """Restore a backup into an empty database, completely or not at all; return the number of rows of each table.

    Raises:
        BackupError: the database is not empty, or the file is damaged, is not a backup or has another schema.
    """
    try:
        with file.open("rb") as raw, gzip.GzipFile(fileobj=raw) as stream, store.writing() as connection:
            return _read(connection, stream, file)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise BackupError(f"{file}: cannot be read as a backup: {error}. Nothing was restored.") from error


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
        raise BackupError(f"{file}: is not a backup of a collector.")
    if header.schema != HEAD:
        raise BackupError(
            f"{file}: has schema {header.schema}, and this collector needs {HEAD}. Restore it with the version of "
            "exaworks that wrote it. This version then updates that database when it opens it."
        )
    tables = {str(table.name): table for table in metadata.sorted_tables}
    for table in tables.values():
        if table not in _OF_SERVER and connection.execute(select(func.count()).select_from(table)).scalar_one():
            raise BackupError("the database is not empty. Name a new database with --database.")
    for table in _OF_SERVER:
        connection.execute(delete(table))
    counts = dict.fromkeys(tables, 0)
    value: Any = None
    for part in parts:
        value = msgspec.msgpack.decode(part)
        if isinstance(value, dict):
            break
        name, columns, rows = value
        if name == bodies.name:
            prepare_months(connection, {row[columns.index("record")] >> RECORD_BITS for row in rows}, now_ms())
        connection.execute(insert(tables[name]), [dict(zip(columns, row, strict=True)) for row in rows])
        counts[name] += len(rows)
    if value != counts:
        raise BackupError(f"{file}: is truncated. Nothing was restored.")
    if connection.dialect.name == "postgresql":
        _advance_sequences(connection)
    return counts


def _advance_sequences(connection: Connection) -> None:
    """Set each sequence to the highest key that was restored; that of the runs numbers only those without a month."""
    forget_numbers(connection)
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        parameters = {"table": table.name, "column": column.name}
        sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), parameters).scalar()
        plain = (column < PLAIN_END,) if table is runs else ()
        highest = connection.execute(select(func.max(column)).where(*plain)).scalar()
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
        part = stream.read(length) if len(size) == 4 and length < _MAX_PART_BYTES else b""
        if len(part) != length or not part:
            raise EOFError("it is truncated")
        yield part
