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

# The log is the whole bucket's: numbers come one after the other, whosever the signature is.
log_leaf = sa.Table(
    "log_leaf",
    metadata,
    sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
    project_column(),
    sa.Column("bundle", sa.LargeBinary(32), nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    # The leaf itself, until a checkpoint is published that covers it; then its tile has it.
    sa.Column("leaf", sa.LargeBinary),
    sa.PrimaryKeyConstraint("number"),
    sa.UniqueConstraint("project", "bundle"),
)

log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("origin", sa.Text, nullable=False),
    # What was signed last, or is about to be: the row decides before the checkpoint is published.
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("root", sa.LargeBinary(32)),
    # Who may add to the log.
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Moment, nullable=False, server_default="0"),
    sa.PrimaryKeyConstraint("origin"),
    sqlite_with_rowid=False,
)
