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

HEAD = "0003"
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
    Column("contact", BigInteger),  # when something of it last came
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
    # Roll-up: the runs that said something about the cell, told from the oldest to the newest (``collector.streaks``).
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
    Column("pruned", Integer),  # what retention has taken: 1 output tails, 2 whole bodies; null when a record is added
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
    Column("nodes", Integer),
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
    Column("flaky", Integer, nullable=False, server_default="0"),  # how many of its cells turn on the same stack
    Column("nested", String(256)),  # the schedulers within a scheduler among its cells: "flux"
)

days = Table(
    "days",
    metadata,
    Column("system", ForeignKey("systems.id"), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970 UTC, of the record's start
    # Roll-up: sums over records, each attempt counted.
    Column("records", Integer, nullable=False),
    *(Column(outcome, Integer, nullable=False) for outcome in ("pass", "fail", "error", "infra")),
    *(Column(outcome, Integer, nullable=False) for outcome in ("skip", "xfail", "xpass")),
    Column("waits", Integer, nullable=False),  # how many told their queue wait, and its sum
    Column("wait_ms", BigInteger, nullable=False),
    Column("timed", Integer, nullable=False),  # how many told their run time, and its sum
    Column("run_ms", BigInteger, nullable=False),
    Column("node_ms", BigInteger, nullable=False),  # run time times nodes
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
