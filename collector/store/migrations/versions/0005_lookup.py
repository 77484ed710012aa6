"""The index of record ids is grouped by runs, so that the records of a batch write to the same few pages."""

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
