"""The first schema: facts, roll-ups and tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", Key, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cells", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        sa.UniqueConstraint("digest", name=op.f("uq_plans_digest")),
    )
    op.create_table(
        "systems",
        sa.Column("id", Key, nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("system", sa.String(length=128), nullable=False),
        sa.Column("full_smoke", sa.BigInteger(), nullable=True),
        sa.Column("full_integration", sa.BigInteger(), nullable=True),
        sa.Column("full_scale", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_systems")),
        sa.UniqueConstraint("site", "system", name=op.f("uq_systems_site_system")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("site", sa.String(length=128), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_table(
        "board",
        sa.Column("system", Key, nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("component", sa.String(length=128), nullable=False),
        sa.Column("worst", sa.String(length=1), nullable=False),
        sa.Column("outcomes", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("run", Key, nullable=False),
        sa.Column("version", sa.String(length=128), nullable=True),
        sa.Column("emulated", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_board_system")),
        sa.PrimaryKeyConstraint("system", "subject", name=op.f("pk_board")),
    )
    op.create_table(
        "cells",
        sa.Column("id", Key, nullable=False),
        sa.Column("system", Key, nullable=False),
        sa.Column("case_id", sa.String(length=512), nullable=False),
        sa.Column("component", sa.String(length=128), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("scheduler", sa.String(length=256), nullable=False),
        sa.Column("tier", sa.String(length=16), nullable=False),
        sa.Column("last_run", Key, nullable=True),
        sa.Column("last_started", sa.BigInteger(), nullable=True),
        sa.Column("last_outcome", sa.String(length=1), nullable=True),
        sa.Column("last_record", sa.BigInteger(), nullable=True),
        sa.Column("last_version", sa.String(length=128), nullable=True),
        sa.Column("last_emulated", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_cells_system")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cells")),
        sa.UniqueConstraint("system", "case_id", name=op.f("uq_cells_system_case_id")),
    )
    op.create_index(op.f("ix_cells_system_subject"), "cells", ["system", "subject"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", Key, nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=False),
        sa.Column("system", Key, nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("manifest", sa.LargeBinary(), nullable=True),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.String(length=64), nullable=True),
        sa.Column("release", sa.String(length=128), nullable=True),
        sa.Column("tier", sa.String(length=16), nullable=True),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("stale_after", sa.Integer(), nullable=True),
        sa.Column("plan", Key, nullable=True),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("outcomes", sa.Text(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name=op.f("fk_runs_plan")),
        sa.ForeignKeyConstraint(["system"], ["systems.id"], name=op.f("fk_runs_system")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("run_id", name=op.f("uq_runs_run_id")),
    )
    op.create_index(op.f("ix_runs_started"), "runs", ["started"], unique=False)
    op.create_index(op.f("ix_runs_system_started_run_id"), "runs", ["system", "started", "run_id"], unique=False)

    op.create_table(
        "closings",
        sa.Column("run", Key, nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_closings_run")),
        sa.PrimaryKeyConstraint("run", "sequence", name=op.f("pk_closings")),
    )
    op.create_table(
        "records",
        sa.Column("id", Key, autoincrement=False, nullable=False),
        sa.Column("run", Key, nullable=False),
        sa.Column("cell", Key, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("record_key", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=1), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=True),
        sa.Column("cause", sa.String(length=16), nullable=True),
        sa.Column("rule", sa.String(length=128), nullable=True),
        sa.Column("evidence", sa.String(length=512), nullable=True),
        sa.Column("version", sa.String(length=128), nullable=True),
        sa.Column("emulated", sa.Boolean(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("queue_wait", sa.Float(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["cell"], ["cells.id"], name=op.f("fk_records_cell")),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_records_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint("run", "cell", "attempt", name=op.f("uq_records_run_cell_attempt")),
    )
    op.create_index(op.f("ix_records_record_key"), "records", ["record_key"], unique=False)

    op.create_table(
        "bodies",
        sa.Column("record", Key, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["record"], ["records.id"], name=op.f("fk_bodies_record")),
        sa.PrimaryKeyConstraint("record", name=op.f("pk_bodies")),
    )
