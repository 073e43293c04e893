"""Artifacts, their other digests, the names given to them, and receipts for their bytes."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Address, Moment, metadata, project_column

artifact = sa.Table(
    "artifact",
    metadata,
    project_column(),
    sa.Column("address", Address, nullable=False),
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("named_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "address"),
    sqlite_with_rowid=False,
)

digest_alias = sa.Table(
    "digest_alias",
    metadata,
    project_column(),
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("address", Address, nullable=False),
    sa.PrimaryKeyConstraint("project", "algorithm", "digest", "address"),
    sa.ForeignKeyConstraint(["project", "address"], ["artifact.project", "artifact.address"]),
    sa.Index(None, "project", "address"),
    sqlite_with_rowid=False,
)

reference = sa.Table(
    "reference",
    metadata,
    project_column(),
    sa.Column("address", Address, nullable=False),
    # Empty where not given: NULLs are distinct from each other in a unique key.
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "address", "uri", "name"),
    sa.ForeignKeyConstraint(["project", "address"], ["artifact.project", "artifact.address"]),
    sa.Index(None, "project", "uri"),
    sa.Index(None, "project", "name"),
    sqlite_with_rowid=False,
)

receipt = sa.Table(
    "receipt",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("hashed_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "digest", "kind"),
    sqlite_with_rowid=False,
)
