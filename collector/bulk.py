"""Many rows in one statement, handed to the driver as they are: on the way of every record, each microsecond counts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Table


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that give every column of the table, in its order."""
    if rows:
        connection.exec_driver_sql(_insert(table, connection.dialect), list(rows))


def update_many(
    connection: Connection, table: Table, columns: tuple[Column[Any], ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Set the columns of rows; each tuple gives their values, then the key of the row."""
    if rows:
        connection.exec_driver_sql(_update(table, columns, connection.dialect), list(rows))


@lru_cache(maxsize=32)
def _insert(table: Table, dialect: Dialect) -> str:
    quote, mark = dialect.identifier_preparer.quote, _mark(dialect)
    names = ", ".join(quote(column.name) for column in table.c)
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ({', '.join([mark] * len(table.c))})"  # noqa: S608


@lru_cache(maxsize=32)
def _update(table: Table, columns: tuple[Column[Any], ...], dialect: Dialect) -> str:
    quote, mark = dialect.identifier_preparer.quote, _mark(dialect)
    settings = ", ".join(f"{quote(column.name)} = {mark}" for column in columns)
    return f"UPDATE {quote(table.name)} SET {settings} WHERE {quote('id')} = {mark}"  # noqa: S608


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"
