"""Keep trees, what is claimed of packs, and where files lie in them.

Kind: expand
Locks: none, the tables are new
Undo: drops the tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _trees()
    _packs()


def downgrade() -> None:
    for table in ("tree_part", "location", "pack", "tree_claim", "tree"):
        op.drop_table(table)


def _trees() -> None:
    """Trees, claims, and the parts a tree is made of."""
    op.create_table(
        "tree",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("missing", sa.Text(), nullable=True),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.LargeBinary(length=32), nullable=False),
        sa.Column("layout", sa.LargeBinary(length=32), nullable=True),
        sa.Column("layout_stored", sa.LargeBinary(length=32), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_tree")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tree_claim",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("tree", sa.LargeBinary(length=32), nullable=False),
        sa.Column("claim", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "tree"], ["tree.project", "tree.digest"], name=op.f("fk_tree_claim_project_tree_tree")
        ),
        sa.PrimaryKeyConstraint("project", "tree", "claim", name=op.f("pk_tree_claim")),
    )
    op.create_table(
        "tree_part",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("part", sa.LargeBinary(length=32), nullable=False),
        sa.Column("frame_offset", sa.BigInteger(), nullable=False),
        sa.Column("tree", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "tree"], ["tree.project", "tree.digest"], name=op.f("fk_tree_part_project_tree_tree")
        ),
        sa.PrimaryKeyConstraint("project", "part", "frame_offset", "tree", name=op.f("pk_tree_part")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_tree_part_project_tree"), "tree_part", ["project", "tree"], unique=False)


def _packs() -> None:
    """Packs that were looked into, and where files lie in them."""
    op.create_table(
        "pack",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("claim", sa.LargeBinary(length=32), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_pack")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "location",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pack", sa.LargeBinary(length=32), nullable=False),
        sa.Column("frame_offset", sa.BigInteger(), nullable=False),
        sa.Column("frame_length", sa.Integer(), nullable=False),
        sa.Column("frame_size", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("linkable", sa.Boolean(name="linkable"), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_location")),
        sqlite_with_rowid=False,
    )
