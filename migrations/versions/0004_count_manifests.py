"""Keep the sizes of manifests and layouts, for quotas, and which open step sent which tree.

Kind: expand
Locks: brief, adds two nullable columns; the table is new
Undo: drops them
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tree", sa.Column("stored_size", sa.BigInteger(), nullable=True))
    op.add_column("tree", sa.Column("layout_stored_size", sa.BigInteger(), nullable=True))
    op.create_table(
        "tree_sender",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("tree", sa.LargeBinary(length=32), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "tree", "step", name=op.f("pk_tree_sender")),
        sa.ForeignKeyConstraint(
            ["project", "tree"],
            ["tree.project", "tree.digest"],
            name=op.f("fk_tree_sender_project_tree_tree"),
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("tree_sender")
    op.drop_column("tree", "layout_stored_size")
    op.drop_column("tree", "stored_size")
