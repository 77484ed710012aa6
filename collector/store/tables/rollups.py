"""The roll-ups that the pages read; they are updated in the transaction that adds their facts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from collector.store.tables.base import Key, metadata

board = Table(
    "board",
    metadata,
    Column("system", ForeignKey("systems.id"), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("component", String(128), nullable=False),
    Column("worst", String(1), nullable=False),
    Column("outcomes", Text, nullable=False),  # the latest outcome of each current cell, one character each
    Column("started", BigInteger, nullable=False),  # of the newest run of its cells
    Column("run", Key, nullable=False),  # the newest run with the worst outcome
    Column("version", String(128)),
    Column("emulated", Integer, nullable=False),  # the number of its cells that ran on an emulator
    Column("flaky", Integer, nullable=False, server_default="0"),  # the number of its cells that are flaky
    Column("nested", String(256)),  # the nested schedulers of its cells, such as "flux"
    # The share of passes in each of the newest runs (``collector.store.attention.recent_shares``).
    Column("shares", String(14)),
    Column("since", BigInteger),  # when the displayed outcome began
    Column("changed", BigInteger),  # when the newest of its failures began
    Column("imported", Boolean, nullable=False, server_default=false()),  # all its cells are of other tools
)

attention = Table(
    "attention",
    metadata,
    # Current cells that do not pass, skips excepted, and cells that passed again within their history.
    Column("cell", ForeignKey("cells.id"), primary_key=True, autoincrement=False),
    Column("system", ForeignKey("systems.id"), nullable=False),
    Column("component", String(128), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("scheduler", String(256), nullable=False),
    Column("outcome", String(1), nullable=False),
    Column("since", BigInteger, nullable=False),  # when it began to fail, or to pass again
    Column("run", Key, nullable=False),  # the latest run
    Column("version", String(128)),
    Column("emulated", Boolean, nullable=False),
    Column("flaky", Boolean, nullable=False),
    Column("cause", String(16)),  # whose fault it is
    # Equal for failures with the same cause: the cause key of the record, else a digest of its cause and evidence.
    Column("cause_key", String(128), nullable=False),
    Index(None, "outcome", "since"),
    Index(None, "system"),
    Index(None, "cause_key"),
)

incidents = Table(
    "incidents",
    metadata,
    # Sums over the attention of a system: the cells that began to fail, or to pass again, at the same time with the
    # same fault class, component and version. An outage is one row for each system, however many cases it has.
    Column("system", ForeignKey("systems.id"), primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("recovered", Boolean, primary_key=True),
    Column("cause", String(16), primary_key=True),  # empty if there is no record
    Column("component", String(128), primary_key=True),
    Column("version", String(128), primary_key=True),  # empty if it is not known
    Column("cells", Integer, nullable=False),
    Index(None, "since"),
)

days = Table(
    "days",
    metadata,
    Column("system", ForeignKey("systems.id"), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970 UTC, of the start of the record
    # Roll-up: sums over records, each attempt counted.
    Column("records", Integer, nullable=False),
    *(Column(outcome, Integer, nullable=False) for outcome in ("pass", "fail", "error", "infra")),
    *(Column(outcome, Integer, nullable=False) for outcome in ("skip", "xfail", "xpass")),
    Column("waits", Integer, nullable=False),  # the number of records with a queue wait, and its sum
    Column("wait_ms", BigInteger, nullable=False),
    Column("timed", Integer, nullable=False),  # the number of records with a run time, and its sum
    Column("run_ms", BigInteger, nullable=False),
    Column("node_ms", BigInteger, nullable=False),  # run time times the number of nodes
)

series = Table(
    "series",
    metadata,
    # One figure of one cell over time.
    Column("id", Key, primary_key=True),
    Column("cell", ForeignKey("cells.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("better", String(8), nullable=False),  # lower or higher
    # Roll-up of its points (``collector.store.trends``).
    Column("count", Integer, nullable=False),
    Column("kept", Text, nullable=False),  # JSON list of the newest points: when, record, value
    Column("last_record", BigInteger),
    Column("last_started", BigInteger),
    Column("last_value", Float),
    Column("level", Float),  # the usual value; after a change, the one before it
    Column("spread", Float),
    Column("recent", Float),  # the value now, or since the change
    Column("change", String(8)),  # worse or better; null without a lasting change
    Column("change_record", BigInteger),  # the first record after the change
    Column("change_started", BigInteger),
    UniqueConstraint("cell", "name", "unit", "better"),
    Index(None, "change"),
)
