"""What the server records about its own work: who did what, and the counters of all its processes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from collector.store.tables.base import Key, metadata

log_entries = Table(
    "log_entries",
    metadata,
    # The audit log: writes, changes of tokens, waivers and systems, and requests that were refused.
    Column("id", Key, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("action", String(32), nullable=False),
    Column("writer", String(256)),  # the token or the identity, or the user of the command line
    Column("address", String(64)),  # of the client; an IPv6 address as its network
    Column("site", String(128)),
    Column("system", String(128)),
    Column("subject", String(256)),  # the run, token, waiver, sender or path
    Column("status", Integer),  # of the HTTP response; null for the command line
    Column("count", Integer, nullable=False),  # of records, or of equal requests
    Column("detail", Text),
    Index(None, "at"),
    Index(None, "action", "id"),
)

counters = Table(
    "counters",
    metadata,
    # The sums of the counters of all processes that serve this database, also of those that have ended.
    Column("name", String(128), primary_key=True),
    Column("labels", String(256), primary_key=True),
    Column("value", Float, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    # The server processes of this database; one that was not seen for a minute has ended.
    Column("name", String(128), primary_key=True),  # host:pid
    Column("started", BigInteger, nullable=False),
    Column("memory", BigInteger),  # resident bytes
    Column("seen", BigInteger, nullable=False),
)
