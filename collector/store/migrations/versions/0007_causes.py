"""The cause of a failure as schema 2 of the record names it: a key to group by, and a title."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("records", sa.Column("cause_key", sa.String(128), nullable=True))
    op.add_column("records", sa.Column("title", sa.String(256), nullable=True))
