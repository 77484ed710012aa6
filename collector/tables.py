"""The tables: facts that are only ever added (runs, records, closings) and the roll-ups that pages read.

A record's key is its run's key times 2**20 plus its number within the run, so a run's records lie together without
an index of their own, and what identifies an attempt (run, cell, attempt) is kept unique. The full canonical record
lies apart in ``bodies`` so that lists read narrow rows and old bodies can go while verdicts stay.

A run's ``outcomes`` holds one character a case, in the order of its plan, then of ``extra``, the cells that reported
without being planned. Instants are milliseconds since 1970 UTC; unknown is null.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0001"
"""The revision that this code reads and writes; kept equal to the newest migration by a test."""

RECORD_BITS = 20
"""A run holds at most two to this power records."""

Key = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

systems = Table(
    "systems",
    metadata,
    Column("id", Key, primary_key=True),
    Column("site", String(128), nullable=False),
    Column("system", String(128), nullable=False),
    # When the newest closed, complete, unrestricted run of at least that tier began: what it left out is retired.
    Column("full_smoke", BigInteger),
    Column("full_integration", BigInteger),
    Column("full_scale", BigInteger),
    UniqueConstraint("site", "system"),
)

cells = Table(
    "cells",
    metadata,
    Column("id", Key, primary_key=True),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("case_id", String(512), nullable=False),
    Column("component", String(128), nullable=False),
    Column("subject", String(256), nullable=False),  # the component, or component+partner for an integration
    Column("scheduler", String(256), nullable=False),
    Column("tier", String(16), nullable=False),
    # Roll-up: the latest run that says something about the cell.
    Column("last_run", Key),
    Column("last_started", BigInteger),
    Column("last_outcome", String(1)),
    Column("last_record", BigInteger),
    Column("last_version", String(128)),
    Column("last_emulated", Boolean),
    UniqueConstraint("system", "case_id"),
    Index(None, "system", "subject"),
)

plans = Table(
    "plans",
    metadata,
    Column("id", Key, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("cells", Text, nullable=False),  # JSON list of cell keys, in planned order
)

runs = Table(
    "runs",
    metadata,
    Column("id", Key, primary_key=True),
    Column("run_id", String(128), nullable=False, unique=True),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("received", BigInteger, nullable=False),
    # From the manifest; until it arrives a run is known by its records alone.
    Column("digest", LargeBinary(32)),
    Column("manifest", LargeBinary),
    Column("started", BigInteger, nullable=False),
    Column("trigger", String(64)),
    Column("release", String(128)),
    Column("tier", String(16)),
    Column("partial", Boolean, nullable=False),
    Column("stale_after", Integer),  # seconds
    Column("plan", ForeignKey("plans.id")),
    # Roll-up of its records.
    Column("extra", Text, nullable=False),  # JSON list of cell keys
    Column("outcomes", Text, nullable=False),
    Column("records", Integer, nullable=False),
    # Roll-up of its closings: the one with the highest sequence.
    Column("sequence", Integer),
    Column("state", String(16)),
    Column("ended", BigInteger),
    Column("exit_code", Integer),
    Index(None, "system", "started", "run_id"),
    Index(None, "started"),
)

closings = Table(
    "closings",
    metadata,
    Column("run", ForeignKey("runs.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
)

records = Table(
    "records",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("run", ForeignKey("runs.id"), nullable=False),
    Column("cell", ForeignKey("cells.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("record_key", BigInteger, nullable=False),  # the first eight bytes of record_id, for looking it up
    Column("digest", LargeBinary(32), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("outcome", String(1), nullable=False),
    Column("phase", String(16)),
    Column("cause", String(16)),
    Column("rule", String(128)),
    Column("evidence", String(512)),
    Column("version", String(128)),
    Column("emulated", Boolean, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("queue_wait", Float),
    Column("seconds", Float),  # of the run phase
    UniqueConstraint("run", "cell", "attempt"),
    Index(None, "record_key"),
)

bodies = Table(
    "bodies",
    metadata,
    Column("record", ForeignKey("records.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

board = Table(
    "board",
    metadata,
    Column("system", ForeignKey("systems.id"), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("component", String(128), nullable=False),
    Column("worst", String(1), nullable=False),
    Column("outcomes", Text, nullable=False),  # the latest outcome of each current cell, one character each
    Column("started", BigInteger, nullable=False),  # of the newest run behind it
    Column("run", Key, nullable=False),  # the newest run that shows the worst outcome
    Column("version", String(128)),
    Column("emulated", Integer, nullable=False),  # how many of its cells ran on a dialect emulator
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
)
