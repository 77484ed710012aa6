"""The table ``told`` becomes ``reported_states``: the state of each cell as it was last reported to the hooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _move("told", "reported_states")


def _move(old: str, new: str) -> None:
    """Move the rows into a new table, so that the names of its constraints follow the name of the table."""
    moved = op.create_table(
        new,
        sa.Column("cell", Key, nullable=False),
        sa.Column("state", sa.String(1), nullable=False),
        sa.ForeignKeyConstraint(["cell"], ["cells.id"], name=op.f(f"fk_{new}_cell")),
        sa.PrimaryKeyConstraint("cell", name=op.f(f"pk_{new}")),
    )
    rows = sa.table(old, sa.column("cell"), sa.column("state"))
    op.execute(sa.insert(moved).from_select(["cell", "state"], sa.select(rows.c.cell, rows.c.state)))
    op.drop_table(old)
