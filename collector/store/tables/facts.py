"""The facts, which are only ever added: runs, their closings and records, and the systems and cells they refer to.

The key of a record is the key of its run times 2**20 plus its number in the run, so that the records of a run are
stored together without an index of their own. Run, cell and attempt together are unique. The full canonical record is
stored separately in ``bodies``, so that lists read narrow rows, and old bodies can be deleted while verdicts stay.

``runs.outcomes`` has one character for each case, in the order of the plan, then of ``extra``: the cells that reported
although they were not planned. Columns marked as roll-ups are derived from the facts.

The three tables that grow with every record refer to others without a foreign key. Their keys are created in the same
transaction, and checking each one would cost a third of ingest. ``exaworks collector verify`` finds rows that refer to
a missing row.
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
    false,
    literal_column,
)

from collector.store.tables.base import LOOKUP_BITS, Key, metadata

systems = Table(
    "systems",
    metadata,
    Column("id", Key, primary_key=True),
    Column("site", String(128), nullable=False),
    Column("system", String(128), nullable=False),
    # Start of the newest complete, unrestricted run of at least that tier; cells that it does not plan are retired.
    Column("full_smoke", BigInteger),
    Column("full_integration", BigInteger),
    Column("full_scale", BigInteger),
    Column("contact", BigInteger),  # when it last sent something
    Column("skew", BigInteger),  # how far the clock of the machine that sent it was ahead; null if it is not known
    # Roll-up: the number of figures that its records measure, and of those that got worse.
    Column("trended", Integer, nullable=False, server_default="0"),
    Column("worse", Integer, nullable=False, server_default="0"),
    Column("retired", BigInteger),  # runs that started before are not current; a later run takes it into use again
    # Roll-up: when it counts as silent if no further run starts; null if no run states a cadence.
    Column("silent_from", BigInteger, index=True),
    Column("owner", String(128)),  # Roll-up: the owner that its newest manifest names
    Column("tiles", Integer, nullable=False, server_default="0"),  # Roll-up: the number of its rows of the board
    # Roll-up of its failing cells: how many, when the newest began to fail, and how many of each fault class, such as
    # "distribution 2, site 1" ("none" for a cell without a record). So the first page reads no cell to order systems.
    Column("failing", Integer, nullable=False, server_default="0"),
    Column("newest_failure", BigInteger),
    Column("failing_by", String(256)),
    Column("silence_reported", BigInteger),  # the silent_from that was last reported to the hooks
    UniqueConstraint("site", "system"),
)

former_names = Table(
    "former_names",
    metadata,
    # Names that a system had before it was renamed. What is sent under such a name belongs to the system.
    Column("site", String(128), primary_key=True),
    Column("system", String(128), primary_key=True),
    Column("key", ForeignKey("systems.id", ondelete="CASCADE"), nullable=False),
)

writers = Table(
    "writers",
    metadata,
    # The tokens and identities that wrote something; the tables of the facts refer to them.
    Column("id", Key, primary_key=True),
    Column("name", String(256), nullable=False, unique=True),  # such as token:1f0c22ab
)

cells = Table(
    "cells",
    metadata,
    Column("id", Key, primary_key=True),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("case_id", String(512), nullable=False),
    Column("component", String(128), nullable=False),
    Column("subject", String(256), nullable=False),  # the component, or component+partner for a pair
    Column("scheduler", String(256), nullable=False),
    Column("tier", String(16), nullable=False),
    Column("imported", Boolean, nullable=False, server_default=false()),  # its results are those of another tool
    # Roll-up: the latest run with an outcome of the cell.
    Column("last_run", Key),
    Column("last_started", BigInteger),
    Column("last_outcome", String(1)),
    Column("last_record", BigInteger),
    Column("last_version", String(128)),
    Column("last_emulated", Boolean),
    # Roll-up: the history of the cell, from the oldest run to the newest (``collector.store.streaks``).
    Column("history", String(32)),  # the newest outcomes, the latest one last
    Column("turns", String(32)),  # for each outcome, "!" if it turned on the same stack, else "-"
    Column("since_run", Key),  # the first run of the unbroken series with the latest outcome
    Column("since_started", BigInteger),
    Column("pass_run", Key),  # the newest run that passed
    Column("pass_started", BigInteger),
    Column("fail_run", Key),  # the first failed run after it, null while it passes
    Column("fail_started", BigInteger),
    Column("decided", String(1)),  # the newest pass, fail or error, and its stack
    Column("decided_stack", String(16)),
    UniqueConstraint("system", "case_id"),
    Index(None, "system", "subject"),
    Index(None, "last_outcome"),
    Index(None, "scheduler", "system"),
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
    Column("run_id", String(128), nullable=False),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("received", BigInteger, nullable=False),
    # From the manifest; before the manifest arrives, a run is known from its records only.
    Column("digest", LargeBinary(32)),
    Column("manifest", LargeBinary),
    Column("started", BigInteger, nullable=False),  # by the clock of this server
    Column("skew", BigInteger),  # how far the clock of its sender was ahead, if that is more than the tolerance
    Column("due", BigInteger),  # when it should have ended; null if it is closed, overdue, or has no plan
    Column("overdue", Boolean, nullable=False, server_default=false()),  # it should have ended and is not closed
    Column("trigger", String(64)),
    Column("release", String(128)),
    Column("tier", String(16)),
    Column("partial", Boolean, nullable=False),
    Column("stale_after", Integer),  # seconds
    Column("cadence", Integer),  # seconds
    Column("stack", String(16)),  # changes whenever a deployment under test changes
    Column("origin", String(16)),  # null for the harness of this project, else the importer
    Column("owner", String(128)),
    Column("plan", ForeignKey("plans.id")),
    # Roll-up of its records.
    Column("extra", Text, nullable=False),  # JSON list of cell keys
    Column("outcomes", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("schedulers", Text),  # JSON object: the version of each scheduler in its records
    Column("pruned", Integer),  # 1: output tails deleted, 2: bodies deleted, 0: records added since
    # Roll-up of its closings: the values of the one with the highest sequence.
    Column("sequence", Integer),
    Column("state", String(16)),
    Column("ended", BigInteger),
    Column("exit_code", Integer),
    Column("writer", Key),  # who sent the manifest, or the first record before it arrived
    UniqueConstraint("run_id", "system", name="uq_runs_run_id_system"),
    Index(None, "system", "started", "run_id"),
    Index(None, "started"),
    Index(None, "due"),
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
    Column("writer", Key),
)

records = Table(
    "records",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("run", Key, nullable=False),
    Column("cell", Key, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("record_key", BigInteger, nullable=False),  # the first eight bytes of record_id
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
    # Of schema 2: equal for attempts that failed for the same reason, and the reason in a few words.
    Column("cause_key", String(128)),
    Column("title", String(256)),
    Column("writer", Key),
    UniqueConstraint("run", "cell", "attempt"),
)

lookup = records.c.run.bitwise_rshift(literal_column(str(LOOKUP_BITS)))
"""The group of runs in which a record is found by its id.

The values of ``record_key`` are random. With an index on them alone, nearly every record would write a page of its own,
and ingest would slow down as the history grows. With an index by group, a batch writes to the same few pages.
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
    # Messages of old clients that are not tests: the start and the end of a run, as they were sent.
    Column("run", ForeignKey("runs.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("writer", Key),
)

points = Table(
    "points",
    metadata,
    # The figures that records measured, extracted from their bodies.
    Column("series", Key, primary_key=True, autoincrement=False),
    Column("record", Key, primary_key=True, autoincrement=False),
    Column("started", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Index(None, "series", "started"),
)
