"""The audit log: who wrote or changed what, and which requests were refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from collector.clock import iso
from collector.store.tables import log_entries

REFUSED = "refused"

MAX_REFUSED = 10_000
"""The number of entries about refused requests that are kept; clients without a token must not fill the disk."""

_FETCH_ROWS = 500


@dataclass(frozen=True)
class Entry:
    """One entry.

    ``action``: such as ``run.open``, ``records.add``, ``token.new``, or ``refused``. ``writer``: the token or identity,
    such as ``token:1f0c22ab``; for the command line ``user:NAME``. ``address``: of the client. ``subject``: what was
    written, such as the id of a run or of a token. ``status``: of the response to the request. ``count``: the number of
    records, or of equal requests.
    """

    action: str
    writer: str | None = None
    address: str | None = None
    site: str | None = None
    system: str | None = None
    subject: str | None = None
    status: int | None = None
    count: int = 1
    detail: str | None = None


_LONGEST = {"action": 32, "writer": 256, "address": 64, "site": 128, "system": 128, "subject": 256, "detail": 512}


def add_entry(connection: Connection, at: int, entry: Entry) -> None:
    """Add an entry in the transaction of the caller, so that it exists exactly if the change does."""
    connection.execute(insert(log_entries), [_values(at, entry)])


def add_refusals(connection: Connection, at: int, entries: list[Entry]) -> None:
    """Add entries about refused requests, and delete the oldest of them beyond ``MAX_REFUSED``."""
    if entries:
        connection.execute(insert(log_entries), [_values(at, entry) for entry in entries])
    ordered = select(log_entries.c.id).where(log_entries.c.action == REFUSED).order_by(log_entries.c.id.desc())
    last = connection.execute(ordered.offset(MAX_REFUSED).limit(1)).scalar()
    if last is not None:
        connection.execute(delete(log_entries).where(log_entries.c.action == REFUSED, log_entries.c.id <= last))


def list_entries(
    connection: Connection,
    since: int = 0,
    actions: tuple[str, ...] = (),
    site: str | None = None,
    writer: str | None = None,
    newest: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield entries as JSON objects, the oldest first; ``newest``: only this number of the newest ones.

    ``actions``: entries of these actions, or of all that begin with one and a dot, such as ``token``.
    """
    query = select(log_entries).where(log_entries.c.at >= since)
    for condition, value in ((log_entries.c.site, site), (log_entries.c.writer, writer)):
        if value is not None:
            query = query.where(condition == value)
    if actions:
        named: ColumnElement[bool] = log_entries.c.action.in_(actions)
        for action in actions:
            named |= log_entries.c.action.startswith(f"{action}.", autoescape=True)
        query = query.where(named)
    if newest is not None:
        newest_keys = query.with_only_columns(log_entries.c.id).order_by(log_entries.c.id.desc()).limit(newest)
        query = select(log_entries).where(log_entries.c.id.in_(newest_keys.subquery().select()))
    for row in connection.execute(query.order_by(log_entries.c.id).execution_options(yield_per=_FETCH_ROWS)):
        values = {name: value for name, value in row._mapping.items() if value is not None and name != "id"}
        yield values | {"at": iso(row.at, "milliseconds")}


def delete_entries(connection: Connection, before: int, dry: bool = False) -> int:
    """Delete the entries of before an instant, and return their number; ``dry``: count only."""
    old = log_entries.c.at < before
    if dry:
        return len(connection.execute(select(log_entries.c.id).where(old)).all())
    return connection.execute(delete(log_entries).where(old)).rowcount


def _values(at: int, entry: Entry) -> dict[str, Any]:
    values: dict[str, Any] = {"at": at, "status": entry.status, "count": entry.count}
    for name, longest in _LONGEST.items():
        text = getattr(entry, name)
        values[name] = None if text is None else text.replace("\0", "�")[:longest]
    return values
