"""Find what lies in a pack, which goes with it when it is removed or packed anew.

Kind: expand
Locks: on PostgreSQL nobody writes locations while the index is built
Undo: drops the index
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_location_project_pack"), "location", ["project", "pack"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_location_project_pack"), table_name="location")
