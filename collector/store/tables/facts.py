"""Facts, which are only ever added: runs, what closed them, their records, and what they hang on.

A record's key is its run's key times 2**20 plus its number within the run, so a run's records lie together without
an index of their own, and what identifies an attempt (run, cell, attempt) is kept unique. The full canonical record
lies apart in ``bodies`` so that lists read narrow rows and old bodies can go while verdicts stay.

A run's ``outcomes`` holds one character a case, in the order of its plan, then of ``extra``, the cells that reported
without being planned. Columns marked as roll-ups follow from the facts and are kept beside what they are about.

The three tables that grow with every record name others by key without a constraint: the keys are made in the same
transaction, a check of each costs a third of ingest, and ``collector verify`` looks for what hangs on nothing.
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
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

from collector.store.tables.base import LOOKUP_BITS, Key, metadata

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
    Column("contact", BigInteger),  # when something of it last came
    # Roll-up: how many figures its records measure, and how many of them are worse than they were.
    Column("trended", Integer, nullable=False, server_default="0"),
    Column("worse", Integer, nullable=False, server_default="0"),
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
    # Roll-up: the runs that said something about the cell, told from the oldest to the newest (``collector.store.streaks``).
    Column("history", String(32)),  # the newest outcomes, the latest one last
    Column("turns", String(32)),  # beside each, "!" where it turned although the stack was the same, else "-"
    Column("since_run", Key),  # the first run of the unbroken series that shows the latest outcome
    Column("since_started", BigInteger),
    Column("pass_run", Key),  # the newest run that passed
    Column("pass_started", BigInteger),
    Column("fail_run", Key),  # the first run since then that failed, null while it passes
    Column("fail_started", BigInteger),
    Column("decided", String(1)),  # the newest of pass, fail and error, and the stack that it came from
    Column("decided_stack", String(16)),
    UniqueConstraint("system", "case_id"),
    Index(None, "system", "subject"),
    Index(None, "last_outcome"),
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
    Column("cadence", Integer),  # seconds
    Column("stack", String(16)),  # changes whenever a deployment under test does
    Column("origin", String(16)),  # null for this project's harness, else the importer
    Column("plan", ForeignKey("plans.id")),
    # Roll-up of its records.
    Column("extra", Text, nullable=False),  # JSON list of cell keys
    Column("outcomes", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("schedulers", Text),  # JSON object: the version of each scheduler that its records name
    Column("pruned", Integer),  # what retention took: 1 output tails, 2 whole bodies; 0 where a record came since
    # Roll-up of its closings: the one with the highest sequence.
    Column("sequence", Integer),
    Column("state", String(16)),
    Column("ended", BigInteger),
    Column("exit_code", Integer),
    Index(None, "system", "started", "run_id"),
    Index(None, "started"),
    Index(None, "release", "system", "started"),
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
    Column("run", Key, nullable=False),
    Column("cell", Key, nullable=False),
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
    Column("nodes", Integer),
    UniqueConstraint("run", "cell", "attempt"),
)

lookup = records.c.run.bitwise_rshift(literal_column(str(LOOKUP_BITS)))
"""Of a record: the group of runs within which it is looked up.

A ``record_key`` lies anywhere among all others: with an index of it alone nearly every record has a page of its own
written, and ingest slows down as history grows. Within a few runs, a batch writes to the same few pages.
"""

Index("ix_records_lookup", lookup, records.c.record_key)

bodies = Table(
    "bodies",
    metadata,
    Column("record", Key, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    # What an old client reports that is no test: the beginning and the end of its run, kept as it was sent.
    Column("run", ForeignKey("runs.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
)

points = Table(
    "points",
    metadata,
    # The figures that records measured, taken out of their bodies.
    Column("series", Key, primary_key=True, autoincrement=False),
    Column("record", Key, primary_key=True, autoincrement=False),
    Column("started", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Index(None, "series", "started"),
)
