"""Lay the first tables.

Kind: expand
Locks: none, the tables are new
Undo: drops every table
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tenancy()
    _work()
    _content()
    _steps()
    _products()
    _evidence()


def downgrade() -> None:
    for table in (
        "attestation_subject",
        "attestation",
        "step_output",
        "step_input",
        "step_dep",
        "step_ledger",
        "step",
        "run",
        "receipt",
        "reference",
        "digest_alias",
        "artifact",
        "queue",
        "idempotency",
        "token",
        "project",
    ):
        op.drop_table(table)


def _tenancy() -> None:
    """Projects, tokens and answered requests."""
    op.create_table(
        "project",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_project")),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["project.name"], name=op.f("fk_token_project_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_token_hash")),
    )
    op.create_index(op.f("ix_token_project"), "token", ["project"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reserved_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "principal", "route", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)


def _work() -> None:
    """The queue."""
    op.create_table(
        "queue",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue")),
        sa.UniqueConstraint("project", "kind", "topic", name=op.f("uq_queue_project_kind_topic")),
    )
    op.create_index(op.f("ix_queue_kind_available_at"), "queue", ["kind", "available_at"], unique=False)


def _content() -> None:
    """Artifacts, their other digests, names and receipts."""
    op.create_table(
        "artifact",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("named_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "address", name=op.f("pk_artifact")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "digest_alias",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "address"],
            ["artifact.project", "artifact.address"],
            name=op.f("fk_digest_alias_project_address_artifact"),
        ),
        sa.PrimaryKeyConstraint("project", "algorithm", "digest", "address", name=op.f("pk_digest_alias")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_digest_alias_project_address"), "digest_alias", ["project", "address"], unique=False
    )
    op.create_table(
        "reference",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "address"],
            ["artifact.project", "artifact.address"],
            name=op.f("fk_reference_project_address_artifact"),
        ),
        sa.PrimaryKeyConstraint("project", "address", "uri", "name", name=op.f("pk_reference")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_reference_project_name"), "reference", ["project", "name"], unique=False)
    op.create_index(op.f("ix_reference_project_uri"), "reference", ["project", "uri"], unique=False)
    op.create_table(
        "receipt",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("hashed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", "kind", name=op.f("pk_receipt")),
        sqlite_with_rowid=False,
    )


def _steps() -> None:
    """Runs, steps and their ledger."""
    op.create_table(
        "run",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("found_by", sa.Text(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["project.name"], name=op.f("fk_run_project_project")),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_run")),
        sa.UniqueConstraint("project", "found_by", name=op.f("uq_run_project_found_by")),
    )
    op.create_table(
        "step",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("begun", sa.Text(), nullable=False),
        sa.Column("finished", sa.Text(), nullable=True),
        sa.Column("record_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("segment", sa.Text(), nullable=True),
        sa.Column("segment_start", sa.BigInteger(), nullable=True),
        sa.Column("segment_length", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project", "run"], ["run.project", "run.id"], name=op.f("fk_step_project_run_run")
        ),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_step")),
    )
    op.create_index(op.f("ix_step_project_run"), "step", ["project", "run"], unique=False)
    op.create_index(op.f("ix_step_state_expires_at"), "step", ["state", "expires_at"], unique=False)
    op.create_index(op.f("ix_step_token_hash"), "step", ["token_hash"], unique=False)
    op.create_table(
        "step_ledger",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project", "step"], ["step.project", "step.id"], name=op.f("fk_step_ledger_project_step_step")
        ),
        sa.PrimaryKeyConstraint("project", "step", "state", name=op.f("pk_step_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "step_dep",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("dep", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "dep"], ["step.project", "step.id"], name=op.f("fk_step_dep_project_dep_step")
        ),
        sa.ForeignKeyConstraint(
            ["project", "step"], ["step.project", "step.id"], name=op.f("fk_step_dep_project_step_step")
        ),
        sa.PrimaryKeyConstraint("project", "step", "dep", name=op.f("pk_step_dep")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_step_dep_project_dep_step"), "step_dep", ["project", "dep", "step"], unique=False
    )


def _products() -> None:
    """What steps consumed and produced."""
    op.create_table(
        "step_input",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "address"],
            ["artifact.project", "artifact.address"],
            name=op.f("fk_step_input_project_address_artifact"),
        ),
        sa.ForeignKeyConstraint(
            ["project", "step"], ["step.project", "step.id"], name=op.f("fk_step_input_project_step_step")
        ),
        sa.PrimaryKeyConstraint(
            "project", "step", "role", "address", "uri", "name", name=op.f("pk_step_input")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_step_input_project_address_step"), "step_input", ["project", "address", "step"], unique=False
    )
    op.create_table(
        "step_output",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.Boolean(name="received"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "address"],
            ["artifact.project", "artifact.address"],
            name=op.f("fk_step_output_project_address_artifact"),
        ),
        sa.ForeignKeyConstraint(
            ["project", "step"], ["step.project", "step.id"], name=op.f("fk_step_output_project_step_step")
        ),
        sa.PrimaryKeyConstraint("project", "step", "role", "name", name=op.f("pk_step_output")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_step_output_project_address_step"),
        "step_output",
        ["project", "address", "step"],
        unique=False,
    )


def _evidence() -> None:
    """Signed statements and their subjects."""
    op.create_table(
        "attestation",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("builder_id", sa.Text(), nullable=False),
        sa.Column("predicate_type", sa.Text(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("record_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "step"], ["step.project", "step.id"], name=op.f("fk_attestation_project_step_step")
        ),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_attestation")),
        sa.UniqueConstraint(
            "project", "step", "builder_id", name=op.f("uq_attestation_project_step_builder_id")
        ),
    )
    op.create_table(
        "attestation_subject",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(length=32), nullable=False),
        sa.Column("attestation", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "attestation"],
            ["attestation.project", "attestation.digest"],
            name=op.f("fk_attestation_subject_project_attestation_attestation"),
        ),
        sa.PrimaryKeyConstraint("project", "address", "attestation", name=op.f("pk_attestation_subject")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_attestation_subject_project_attestation"),
        "attestation_subject",
        ["project", "attestation"],
        unique=False,
    )
