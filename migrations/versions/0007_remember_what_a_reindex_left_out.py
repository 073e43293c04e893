"""Remember what a reindex left out knowingly, so that it is not taken for news.

Kind: expand
Locks: none, the tables are new
Undo: drops them; the next reindex finds the same again
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unfiled_segment",
        sa.Column("segment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("segment", name=op.f("pk_unfiled_segment")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unfiled_statement",
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("builder_id", sa.Text(), nullable=False),
        sa.Column("record_digest", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("step", "builder_id", "record_digest", name=op.f("pk_unfiled_statement")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("unfiled_statement")
    op.drop_table("unfiled_segment")
