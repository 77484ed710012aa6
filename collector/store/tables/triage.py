"""What people note about failures with the same cause: who works on it, a note, a link, and until when it is hidden."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from collector.store.tables.base import metadata

triage_entries = Table(
    "triage_entries",
    metadata,
    Column("site", String(128), primary_key=True),  # "*" for every site
    Column("cause_key", String(128), primary_key=True),
    Column("owner", String(128)),
    Column("note", String(1024)),
    Column("link", String(1024)),
    Column("snoozed_until", BigInteger),
    Column("changed", BigInteger, nullable=False),
    Column("changed_by", String(256), nullable=False),
)
