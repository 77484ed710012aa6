"""What the first page needs: cells that need attention, shares of passes, owners; notes of triage; options of hooks."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "attention",
        sa.Column("cell", Key, autoincrement=False, nullable=False),
        sa.Column("system", Key, nullable=False),
        sa.Column("component", sa.String(128), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("scheduler", sa.String(256), nullable=False),
        sa.Column("outcome", sa.String(1), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("run", Key, nullable=False),
        sa.Column("version", sa.String(128), nullable=True),
        sa.Column("emulated", sa.Boolean(), nullable=False),
        sa.Column("flaky", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=True),
        sa.Column("cause_key", sa.String(128), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.id"], name=op.f("fk_attention_cell")),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_attention_system")),
        sa.PrimaryKeyConstraint("cell", name=op.f("pk_attention")),
    )
    op.create_index(op.f("ix_attention_outcome_since"), "attention", ["outcome", "since"])
    op.create_index(op.f("ix_attention_system"), "attention", ["system"])
    op.create_index(op.f("ix_attention_cause_key"), "attention", ["cause_key"])
    op.create_table(
        "triage_entries",
        sa.Column("site", sa.String(128), nullable=False),
        sa.Column("cause_key", sa.String(128), nullable=False),
        sa.Column("owner", sa.String(128), nullable=True),
        sa.Column("note", sa.String(1024), nullable=True),
        sa.Column("link", sa.String(1024), nullable=True),
        sa.Column("snoozed_until", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("site", "cause_key", name=op.f("pk_triage_entries")),
    )
    op.add_column("hooks", sa.Column("options", sa.Text(), nullable=True))
    op.add_column("board", sa.Column("shares", sa.String(14), nullable=True))
    op.add_column("board", sa.Column("since", sa.BigInteger(), nullable=True))
    op.add_column("board", sa.Column("changed", sa.BigInteger(), nullable=True))
    for table in ("board", "cells"):
        op.add_column(table, sa.Column("imported", sa.Boolean(), nullable=False, server_default=sa.false()))
    for table in ("runs", "systems"):
        op.add_column(table, sa.Column("owner", sa.String(128), nullable=True))
    op.add_column("systems", sa.Column("tiles", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(op.f("ix_systems_silent_from"), "systems", ["silent_from"])
    op.create_index(op.f("ix_cells_scheduler_system"), "cells", ["scheduler", "system"])
    _find_imported_cells()
    _find_owners()


def _find_imported_cells() -> None:
    """Mark the cells whose latest record another tool wrote."""
    latest = sa.table("records", sa.column("id"), sa.column("origin"))
    cells = sa.table("cells", sa.column("last_record"), sa.column("imported", sa.Boolean()))
    foreign = sa.select(latest.c.id).where(latest.c.id == cells.c.last_record, latest.c.origin != "native")
    op.execute(cells.update().where(foreign.exists()).values(imported=sa.true()))


def _find_owners() -> None:
    """Read the owner in the newest manifest of each system."""
    connection = op.get_bind()
    newest = sa.text(
        "SELECT runs.id, runs.system, runs.manifest FROM systems JOIN runs ON runs.id = (SELECT id FROM runs AS r "
        "WHERE r.system = systems.id AND r.manifest IS NOT NULL ORDER BY r.started DESC, r.run_id DESC LIMIT 1)"
    )
    for run, system, manifest in connection.execute(newest).all():
        owner = json.loads(bytes(manifest)).get("owner")
        if isinstance(owner, str) and owner:
            values = {"owner": owner.replace("\0", "\ufffd")[:128], "run": run, "system": system}
            connection.execute(sa.text("UPDATE runs SET owner = :owner WHERE id = :run"), values)
            connection.execute(sa.text("UPDATE systems SET owner = :owner WHERE id = :system"), values)
