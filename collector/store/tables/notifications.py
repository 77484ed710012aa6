"""Hooks, the state of each cell that was last reported to them, and the deliveries that wait or were sent."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from collector.store.tables.base import Key, metadata

hooks = Table(
    "hooks",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("url", String(1024), nullable=False),
    Column("kind", String(16), nullable=False),  # change or digest
    Column("site", String(128)),  # null for every site
    Column("hour", Integer),  # of the day in UTC, for a digest
    Column("made", BigInteger, nullable=False),
    Column("options", Text),  # JSON object: shape, subscription and quiet hours (``collector.notify.options``)
)

reported_states = Table(
    "reported_states",
    metadata,
    # The state of a cell as it was last reported to the hooks. A change is a state that differs from this one.
    Column("cell", ForeignKey("cells.id"), primary_key=True),
    Column("state", String(1), nullable=False),  # p: it works; f: it does not
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("hook", ForeignKey("hooks.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(192), nullable=False),  # what it reports; unique for a hook, so that it is created once
    Column("body", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sent", BigInteger),
    Column("error", String(512)),
    UniqueConstraint("hook", "name"),
    Index(None, "sent", "due"),
)
