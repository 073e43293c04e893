"""Remember each hold that was placed or lifted, so that it can be signed.

Kind: expand
Locks: none, the table is new
Undo: drops it; signed holds stay in the bucket
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hold_event",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("attested", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("project", "digest", "event", name=op.f("pk_hold_event")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("hold_event")
