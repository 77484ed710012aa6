"""Who may send results and who may see them: tokens, the keys of old clients, and hidden sites."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from collector.store.tables.base import metadata

hidden_sites = Table(
    "hidden_sites",
    metadata,
    # Sites that anonymous readers do not see.
    Column("site", String(128), primary_key=True),
    Column("since", BigInteger, nullable=False),
)

key_checks = Table(
    "key_checks",
    metadata,
    # A keyed hash of a constant, from which a server finds out whether its token.key is that of this database.
    Column("name", String(16), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
)

senders = Table(
    "senders",
    metadata,
    # Old clients that identify themselves with an id and a key of their own, and the system their results belong to.
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
    Column("successor", String(16)),  # the token that replaces this one once it expires
)
