"""Waivers, hooks and their deliveries, and nested schedulers on the board."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("board", sa.Column("nested", sa.String(256), nullable=True))
    op.create_table(
        "waivers",
        sa.Column("id", Key, nullable=False),
        sa.Column("site", sa.String(128), nullable=False),
        sa.Column("system", sa.String(128), nullable=True),
        sa.Column("cases", sa.String(512), nullable=False),
        sa.Column("reason", sa.String(512), nullable=False),
        sa.Column("owner", sa.String(128), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(16), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waivers")),
    )
    op.create_table(
        "hooks",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("url", sa.String(1024), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("site", sa.String(128), nullable=True),
        sa.Column("hour", sa.Integer(), nullable=True),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
    )
    op.create_table(
        "told",
        sa.Column("cell", Key, nullable=False),
        sa.Column("state", sa.String(1), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.id"], name=op.f("fk_told_cell")),
        sa.PrimaryKeyConstraint("cell", name=op.f("pk_told")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", Key, nullable=False),
        sa.Column("hook", sa.String(16), nullable=False),
        sa.Column("name", sa.String(192), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(512), nullable=True),
        sa.ForeignKeyConstraint(["hook"], ["hooks.id"], name=op.f("fk_deliveries_hook"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("hook", "name", name=op.f("uq_deliveries_hook_name")),
    )
    op.create_index(op.f("ix_deliveries_sent_due"), "deliveries", ["sent", "due"])
    op.create_index(op.f("ix_cells_last_outcome"), "cells", ["last_outcome"])
    op.create_index(op.f("ix_runs_release_system_started"), "runs", ["release", "system", "started"])
