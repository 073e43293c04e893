"""Trees, what is claimed of packs, and where the contents of files were seen to lie."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Moment, metadata, project_column

tree = sa.Table(
    "tree",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    # checking, present, incomplete or refused.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    # JSON list of the first contents that are missing.
    sa.Column("missing", sa.Text),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    # The sha256 of the compressed manifest and layout as they rest, checked whenever they are read.
    sa.Column("stored", sa.LargeBinary(32), nullable=False),
    sa.Column("layout", sa.LargeBinary(32)),
    sa.Column("layout_stored", sa.LargeBinary(32)),
    # How long both are as they rest; null for trees from before these were counted.
    sa.Column("stored_size", sa.BigInteger),
    sa.Column("layout_stored_size", sa.BigInteger),
    sa.Column("changed_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "digest"),
    sqlite_with_rowid=False,
)

tree_claim = sa.Table(
    "tree_claim",
    metadata,
    project_column(),
    sa.Column("tree", sa.LargeBinary(32), nullable=False),
    # The sha256 of the claim, so that one wrong claim stands beside a right one for the same pack.
    sa.Column("claim", sa.LargeBinary(32), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("project", "tree", "claim"),
    sa.ForeignKeyConstraint(["project", "tree"], ["tree.project", "tree.digest"]),
)

tree_sender = sa.Table(
    "tree_sender",
    metadata,
    project_column(),
    # Which step sent the manifest with its own token: it may say more of that tree, and ask for its state.
    sa.Column("tree", sa.LargeBinary(32), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("project", "tree", "step"),
    sa.ForeignKeyConstraint(["project", "tree"], ["tree.project", "tree.digest"]),
    sqlite_with_rowid=False,
)

pack = sa.Table(
    "pack",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    # The claim that was found right: the same one again needs no second look.
    sa.Column("claim", sa.LargeBinary(32), nullable=False),
    sa.Column("checked_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "digest"),
    sqlite_with_rowid=False,
)

location = sa.Table(
    "location",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("pack", sa.LargeBinary(32), nullable=False),
    sa.Column("frame_offset", sa.BigInteger, nullable=False),
    sa.Column("frame_length", sa.Integer, nullable=False),
    sa.Column("frame_size", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("linkable", sa.Boolean(name="linkable"), nullable=False),
    sa.PrimaryKeyConstraint("project", "digest"),
    # What lies in a pack goes with it, and moves when the pack is packed anew.
    sa.Index(None, "project", "pack"),
    sqlite_with_rowid=False,
)

tree_part = sa.Table(
    "tree_part",
    metadata,
    project_column(),
    # A frame of a pack, or (with offset -1) a blob, that a present tree is made of: some
    # hundred rows a tree, where one for each of its files would be some hundred thousand.
    sa.Column("part", sa.LargeBinary(32), nullable=False),
    sa.Column("frame_offset", sa.BigInteger, nullable=False),
    sa.Column("tree", sa.LargeBinary(32), nullable=False),
    sa.PrimaryKeyConstraint("project", "part", "frame_offset", "tree"),
    sa.ForeignKeyConstraint(["project", "tree"], ["tree.project", "tree.digest"]),
    sa.Index(None, "project", "tree"),
    sqlite_with_rowid=False,
)
