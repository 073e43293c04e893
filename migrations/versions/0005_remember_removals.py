"""Remember what was asked for again, what is held, and which bytes were removed.

Kind: expand
Locks: none, the tables are new
Undo: drops them; signed tombstones and holds stay in the bucket
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "last_use",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("named_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_last_use")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hold",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_hold")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tombstone",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("barred", sa.Boolean(name="barred"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.Column("attested", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("project", "kind", "digest", name=op.f("pk_tombstone")),
    )
    op.create_index(op.f("ix_tombstone_state_decided_at"), "tombstone", ["state", "decided_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_tombstone_state_decided_at"), table_name="tombstone")
    op.drop_table("tombstone")
    op.drop_table("hold")
    op.drop_table("last_use")
