"""Who wrote what; ids of runs are unique within a system; retired and renamed systems; counters of all processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

WRITTEN = ("records", "runs", "closings", "events")


def upgrade() -> None:
    op.create_table(
        "writers",
        sa.Column("id", Key, nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_writers")),
        sa.UniqueConstraint("name", name=op.f("uq_writers_name")),
    )
    op.create_table(
        "log_entries",
        sa.Column("id", Key, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("writer", sa.String(256), nullable=True),
        sa.Column("address", sa.String(64), nullable=True),
        sa.Column("site", sa.String(128), nullable=True),
        sa.Column("system", sa.String(128), nullable=True),
        sa.Column("subject", sa.String(256), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_entries")),
    )
    op.create_index(op.f("ix_log_entries_at"), "log_entries", ["at"])
    op.create_index(op.f("ix_log_entries_action_id"), "log_entries", ["action", "id"])
    op.create_table(
        "key_checks",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_key_checks")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("labels", sa.String(256), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_counters")),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=True),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_table(
        "former_names",
        sa.Column("site", sa.String(128), nullable=False),
        sa.Column("system", sa.String(128), nullable=False),
        sa.Column("key", Key, nullable=False),
        sa.ForeignKeyConstraint(["key"], ["systems.id"], name=op.f("fk_former_names_key"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("site", "system", name=op.f("pk_former_names")),
    )
    op.add_column("systems", sa.Column("retired", sa.BigInteger(), nullable=True))
    for table in WRITTEN:
        op.add_column(table, sa.Column("writer", Key, nullable=True))
    with op.batch_alter_table("runs") as batch:
        batch.drop_constraint(op.f("uq_runs_run_id"), type_="unique")
        batch.create_unique_constraint(op.f("uq_runs_run_id_system"), ["run_id", "system"])
