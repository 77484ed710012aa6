"""Histories of cells, sums for each day, hidden sites, old clients, retention, and rotated tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ADDED: dict[str, list[tuple[str, Any]]] = {
    "systems": [("contact", sa.BigInteger())],
    "cells": [
        ("history", sa.String(32)),
        ("turns", sa.String(32)),
        ("since_run", Key),
        ("since_started", sa.BigInteger()),
        ("pass_run", Key),
        ("pass_started", sa.BigInteger()),
        ("fail_run", Key),
        ("fail_started", sa.BigInteger()),
        ("decided", sa.String(1)),
        ("decided_stack", sa.String(16)),
    ],
    "runs": [
        ("cadence", sa.Integer()),
        ("stack", sa.String(16)),
        ("origin", sa.String(16)),
        ("schedulers", sa.Text()),
        ("pruned", sa.Integer()),
    ],
    "records": [("nodes", sa.Integer())],
    "tokens": [("successor", sa.String(16))],
}

SUMS = ("records", "pass", "fail", "error", "infra", "skip", "xfail", "xpass", "waits", "timed")


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    op.add_column("board", sa.Column("flaky", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "days",
        sa.Column("system", Key, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in SUMS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("wait_ms", "run_ms", "node_ms")),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_days_system")),
        sa.PrimaryKeyConstraint("system", "day", name=op.f("pk_days")),
    )
    op.create_table(
        "events",
        sa.Column("run", Key, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_events_run")),
        sa.PrimaryKeyConstraint("run", "kind", "digest", name=op.f("pk_events")),
    )
    op.create_table(
        "hidden_sites",
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_hidden_sites")),
    )
    op.create_table(
        "senders",
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("system", sa.String(length=128), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("sender", name=op.f("pk_senders")),
    )
