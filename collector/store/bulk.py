"""Insert and update many rows in one statement. Every record passes through here, so the speed matters.

On SQLite the rows go through ``executemany``. On PostgreSQL, inserts use binary COPY, and an update is one statement
that joins arrays. The text form of an array is written here, because the driver needs some thirty times as long for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType


def insert_many(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows; each tuple has a value for every column of the table, in the order of the columns."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_insert(table, connection.dialect), list(rows))
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_copy(table, connection.dialect)) as copy:
        copy.set_types([_kind(column) for column in table.c])
        for row in rows:
            copy.write_row(row)


def update_many(
    connection: Connection, table: Table, columns: tuple[Column[Any], ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Update columns of rows; each tuple has the new values, then the key of the row."""
    if not rows:
        return
    statement = _update(table, columns, connection.dialect)
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(statement, list(rows))
    else:
        connection.exec_driver_sql(statement, tuple(array(values) for values in zip(*rows, strict=True)))


def among(connection: Connection, column: ColumnElement[Any], values: Iterable[int | str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of the values. Its SQL text is the same for any number of values."""
    return _among(connection.dialect.name, column, None, packed(connection, values))


def among_parameter(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the same condition with a parameter, whose value ``packed`` gives, for a statement that is built once.

    SQLAlchemy takes longer to build a statement and to find its SQL text than to run it.
    """
    return _among(dialect, column, name, None)


def packed(connection: Connection, values: Iterable[int | str]) -> str:
    """Return the value of a parameter of ``among_parameter``."""
    return array(values) if connection.dialect.name == "postgresql" else json.dumps(list(values))


def _among(dialect: str, column: ColumnElement[Any], name: str | None, value: str | None) -> ColumnElement[bool]:
    if dialect == "postgresql":
        kind = BigInteger() if isinstance(column.type, Integer) else Text()
        return column == func.any(cast(bindparam(name, value, type_=_UntypedText()), ARRAY(kind)))
    listed = func.json_each(bindparam(name, value, type_=Text())).table_valued("value")
    return column.in_(select(listed.c.value))


class _UntypedText(UserDefinedType[str]):
    """A parameter that is sent without a type, so that PostgreSQL parses it once, as the type that it is cast to."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "text"


def array(values: Iterable[Any]) -> str:
    """Format a one-dimensional array as PostgreSQL parses it: as JSON, where that is the same.

    JSON has other escapes, and no number that is not finite.
    """
    values = list(values)
    if set(map(type, values)) <= _SAME_IN_JSON:
        with suppress(UnicodeEncodeError):
            listed = msgspec.json.encode(values).decode()
            if "\\" not in listed:
                return "{" + listed[1:-1] + "}"
    return "{" + ",".join(map(_element, values)) + "}"


_SAME_IN_JSON = {str, int, bool, type(None)}


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "t" if value is True else "f" if value is False else str(value)


@lru_cache(maxsize=32)
def _insert(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.c)
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ({', '.join(['?'] * len(table.c))})"  # noqa: S608


@lru_cache(maxsize=32)
def _copy(table: Table, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.c)
    return f"COPY {quote(table.name)} ({names}) FROM STDIN (FORMAT BINARY)"


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


_KINDS = (
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Float, "float8"),
    (Boolean, "bool"),
    (LargeBinary, "bytea"),
    (Text, "text"),
    (String, "varchar"),
)


@lru_cache(maxsize=256)
def _kind(column: Column[Any]) -> str:
    return next(name for kind, name in _KINDS if isinstance(column.type, kind))
