"""Roll-ups that pages read, kept right in the transaction that adds the facts behind them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from collector.store.tables.base import Key, metadata

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

series = Table(
    "series",
    metadata,
    # One figure of one case on one system, over time.
    Column("id", Key, primary_key=True),
    Column("cell", ForeignKey("cells.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("better", String(8), nullable=False),  # lower or higher
    # Roll-up of its points (``collector.store.trends``).
    Column("count", Integer, nullable=False),
    Column("kept", Text, nullable=False),  # JSON list of the newest: when, record, value
    Column("last_record", BigInteger),
    Column("last_started", BigInteger),
    Column("last_value", Float),
    Column("level", Float),  # what is usual: before the change where there is one
    Column("spread", Float),
    Column("recent", Float),  # since the change
    Column("change", String(8)),  # worse or better; null where nothing changed for good
    Column("change_record", BigInteger),  # the first since
    Column("change_started", BigInteger),
    UniqueConstraint("cell", "name", "unit", "better"),
    Index(None, "change"),
)
