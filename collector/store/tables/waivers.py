"""The waivers that administrators set; those of site files stay in the manifests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from collector.store.tables.base import Key, metadata

waivers = Table(
    "waivers",
    metadata,
    Column("id", Key, primary_key=True),
    Column("site", String(128), nullable=False),
    Column("system", String(128)),  # null for every system of the site
    Column("cases", String(512), nullable=False),  # a shell pattern of case ids
    Column("reason", String(512), nullable=False),
    Column("owner", String(128)),
    Column("expires", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("token", String(16)),  # of the administrator; null if the command line added the waiver
    Column("ended", BigInteger),
)
