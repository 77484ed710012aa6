"""Sums of the cells of each system that need attention, so that the first page of many systems reads no cells."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("systems", sa.Column("failing", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("systems", sa.Column("newest_failure", sa.BigInteger(), nullable=True))
    op.add_column("systems", sa.Column("failing_by", sa.String(256), nullable=True))
    op.create_table(
        "incidents",
        sa.Column("system", Key, nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recovered", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("component", sa.String(128), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_incidents_system")),
        sa.PrimaryKeyConstraint(
            *("system", "since", "recovered", "cause", "component", "version"), name=op.f("pk_incidents")
        ),
    )
    op.create_index(op.f("ix_incidents_since"), "incidents", ["since"])
