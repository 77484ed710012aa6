"""Records are looked up within some runs at a time, so that adding one writes where the others of its batch do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f("ix_records_record_key"), table_name="records")
    op.create_index(op.f("ix_records_lookup"), "records", [sa.text("(run >> 5)"), "record_key"])


def downgrade() -> None:
    op.drop_index(op.f("ix_records_lookup"), table_name="records")
    op.create_index(op.f("ix_records_record_key"), "records", ["record_key"])
