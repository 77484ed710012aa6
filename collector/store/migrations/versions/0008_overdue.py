"""Runs that should have ended, systems that should have reported, and clocks that differ from the server's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SYSTEM_COLUMNS = ("skew", "silent_from", "silence_reported")
RUN_COLUMNS = ("skew", "due")


def upgrade() -> None:
    for name in SYSTEM_COLUMNS:
        op.add_column("systems", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in RUN_COLUMNS:
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("overdue", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_runs_due", "runs", ["due"])
    _let_open_runs_end()
    _find_silent_systems()
    _missing_cases_are_not_new()


def _let_open_runs_end() -> None:
    """Give each open run with a plan the end that its ``stale_after`` states; earlier clients state no other limit."""
    op.execute(
        "UPDATE runs SET due = started + COALESCE(stale_after, 604800) * CAST(1000 AS BIGINT) "
        "WHERE state IS NULL AND digest IS NOT NULL AND plan IN (SELECT id FROM plans WHERE cells <> '[]')"
    )


def _find_silent_systems() -> None:
    """Compute ``silent_from`` as ``collector.store.silence`` does."""
    op.execute(
        "UPDATE systems SET silent_from = (SELECT runs.started + runs.cadence * CAST(1500 AS BIGINT) FROM runs "
        "WHERE runs.system = systems.id AND runs.cadence IS NOT NULL AND runs.origin IS NULL "
        "ORDER BY runs.partial, runs.started DESC, runs.id DESC LIMIT 1)"
    )


def _missing_cases_are_not_new() -> None:
    """Mark present missing cases as reported, because hooks had no messages about them before."""
    op.execute(
        "INSERT INTO reported_states (cell, state) SELECT id, 'f' FROM cells WHERE last_outcome = '.' "
        "AND id NOT IN (SELECT cell FROM reported_states) AND EXISTS (SELECT 1 FROM hooks WHERE kind = 'change')"
    )
