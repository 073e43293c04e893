"""What was signed, and what it is about."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Address, Moment, metadata, project_column

attestation = sa.Table(
    "attestation",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("builder_id", sa.Text, nullable=False),
    sa.Column("predicate_type", sa.Text, nullable=False),
    sa.Column("keyid", sa.Text, nullable=False),
    sa.Column("record_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("signed_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "digest"),
    # At most one statement per (step, builder): DESIGN section 2, promise 3.
    sa.UniqueConstraint("project", "step", "builder_id"),
    sa.ForeignKeyConstraint(["project", "step"], ["step.project", "step.id"]),
)

attestation_subject = sa.Table(
    "attestation_subject",
    metadata,
    project_column(),
    sa.Column("address", Address, nullable=False),
    sa.Column("attestation", sa.LargeBinary(32), nullable=False),
    sa.PrimaryKeyConstraint("project", "address", "attestation"),
    sa.ForeignKeyConstraint(["project", "attestation"], ["attestation.project", "attestation.digest"]),
    sa.Index(None, "project", "attestation"),
    sqlite_with_rowid=False,
)

# What the last reindex saw and left out. It is the whole bucket's: the project that a statement
# without its record belongs to, nobody knows.
unfiled_segment = sa.Table(
    "unfiled_segment",
    metadata,
    sa.Column("segment", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("segment"),
    sqlite_with_rowid=False,
)

unfiled_statement = sa.Table(
    "unfiled_statement",
    metadata,
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("builder_id", sa.Text, nullable=False),
    sa.Column("record_digest", sa.LargeBinary(32), nullable=False),
    sa.PrimaryKeyConstraint("step", "builder_id", "record_digest"),
    sqlite_with_rowid=False,
)
