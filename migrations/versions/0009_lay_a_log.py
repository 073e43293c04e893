"""Lay a log of everything that was signed.

Kind: expand
Locks: none, all new
Undo: drops the tables; tiles and checkpoints stay in the bucket, and reindex fills the tables again
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_leaf",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("bundle", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_log_leaf")),
        sa.UniqueConstraint("project", "bundle", name=op.f("uq_log_leaf_project_bundle")),
    )
    op.create_table(
        "log_head",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_log_head")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("log_head")
    op.drop_table("log_leaf")
