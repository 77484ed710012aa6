"""Series of figures; no foreign keys on the tables that grow with every record (SQLite copies the two tables)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

FREED = (("bodies", "record", "records"), ("records", "run", "runs"), ("records", "cell", "cells"))


def upgrade() -> None:
    for name in ("trended", "worse"):
        op.add_column("systems", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for table in ("bodies", "records"):
        with op.batch_alter_table(table) as batch:
            for _, column, _ in (each for each in FREED if each[0] == table):
                batch.drop_constraint(op.f(f"fk_{table}_{column}"), type_="foreignkey")
    op.create_table(
        "series",
        sa.Column("id", Key, nullable=False),
        sa.Column("cell", Key, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("better", sa.String(8), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("last_record", sa.BigInteger(), nullable=True),
        sa.Column("last_started", sa.BigInteger(), nullable=True),
        sa.Column("last_value", sa.Float(), nullable=True),
        sa.Column("level", sa.Float(), nullable=True),
        sa.Column("spread", sa.Float(), nullable=True),
        sa.Column("recent", sa.Float(), nullable=True),
        sa.Column("change", sa.String(8), nullable=True),
        sa.Column("change_record", sa.BigInteger(), nullable=True),
        sa.Column("change_started", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["cell"], ["cells.id"], name=op.f("fk_series_cell")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("cell", "name", "unit", "better", name=op.f("uq_series_cell_name_unit_better")),
    )
    op.create_index(op.f("ix_series_change"), "series", ["change"])
    op.create_table(
        "points",
        sa.Column("series", Key, autoincrement=False, nullable=False),
        sa.Column("record", Key, autoincrement=False, nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("series", "record", name=op.f("pk_points")),
    )
    op.create_index(op.f("ix_points_series_started"), "points", ["series", "started"])
