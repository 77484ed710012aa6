"""What people and the server itself add: who may send, who may see, waivers, hooks and what is to be delivered."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from collector.store.tables.base import Key, metadata

hidden_sites = Table(
    "hidden_sites",
    metadata,
    # Sites that anonymous readers do not see.
    Column("site", String(128), primary_key=True),
    Column("since", BigInteger, nullable=False),
)

senders = Table(
    "senders",
    metadata,
    # Old clients that carry an id and a key of their own: whose results they are.
    Column("sender", String(128), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),  # of the key
    Column("site", String(128), nullable=False),
    Column("system", String(128), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_used", BigInteger),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("site", String(128), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("last_used", BigInteger),
    Column("successor", String(16)),  # the token that takes its place once it expires
)

waivers = Table(
    "waivers",
    metadata,
    Column("id", Key, primary_key=True),
    Column("site", String(128), nullable=False),
    Column("system", String(128)),  # null for all of the site
    Column("cases", String(512), nullable=False),  # a shell pattern
    Column("reason", String(512), nullable=False),
    Column("owner", String(128)),
    Column("expires", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("token", String(16)),  # of the administrator; null where the command line made it
    Column("ended", BigInteger),
)

hooks = Table(
    "hooks",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("url", String(1024), nullable=False),
    Column("kind", String(16), nullable=False),  # change or digest
    Column("site", String(128)),  # null for all
    Column("hour", Integer),  # of the day in UTC, for a digest
    Column("made", BigInteger, nullable=False),
)

told = Table(
    "told",
    metadata,
    Column("cell", ForeignKey("cells.id"), primary_key=True),
    Column("state", String(1), nullable=False),  # what was last told of it: p works, f does not
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("hook", ForeignKey("hooks.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(192), nullable=False),  # what it is about, so that it is made once
    Column("body", LargeBinary, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("sent", BigInteger),
    Column("error", String(512)),
    UniqueConstraint("hook", "name"),
    Index(None, "sent", "due"),
)
