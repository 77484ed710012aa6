"""Many rows in one statement, handed to the driver as they are: on the way of every record, each microsecond counts.

SQLite takes them by ``executemany``; PostgreSQL by COPY and, for updates, as one statement that joins arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Dialect, Integer, String, Table


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that give every column of the table, in its order."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_insert(table, connection.dialect), list(rows))
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_copy(table, connection.dialect)) as copy:
        for row in rows:
            copy.write_row(row)


def update_many(
    connection: Connection, table: Table, columns: tuple[Column[Any], ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Set the columns of rows; each tuple gives their values, then the key of the row."""
    if not rows:
        return
    statement = _update(table, columns, connection.dialect)
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(statement, list(rows))
    else:
        connection.exec_driver_sql(statement, tuple(list(values) for values in zip(*rows, strict=True)))


@lru_cache(maxsize=32)
def _insert(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.c)
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ({', '.join(['?'] * len(table.c))})"  # noqa: S608


@lru_cache(maxsize=32)
def _copy(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    return f"COPY {quote(table.name)} ({', '.join(quote(column.name) for column in table.c)}) FROM STDIN"


@lru_cache(maxsize=32)
def _update(table: Table, columns: tuple[Column[Any], ...], dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    name, key = quote(table.name), quote("id")
    if dialect.name != "postgresql":
        settings = ", ".join(f"{quote(column.name)} = ?" for column in columns)
        return f"UPDATE {name} SET {settings} WHERE {key} = ?"  # noqa: S608
    settings = ", ".join(f"{quote(column.name)} = new.{quote(column.name)}" for column in columns)
    arrays = ", ".join(f"%s::{_kind(column)}[]" for column in (*columns, table.c.id))
    names = ", ".join(quote(column.name) for column in (*columns, table.c.id))
    return f"UPDATE {name} SET {settings} FROM unnest({arrays}) AS new({names}) WHERE {name}.{key} = new.{key}"  # noqa: S608


def _kind(column: Column[Any]) -> str:
    kinds = ((BigInteger, "bigint"), (Integer, "integer"), (Boolean, "boolean"), (String, "text"))
    return next(name for kind, name in kinds if isinstance(column.type, kind))
