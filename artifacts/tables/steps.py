"""Runs, steps, what they consumed and produced, and how far their evidence has come."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Address, Moment, metadata, project_column

run = sa.Table(
    "run",
    metadata,
    project_column(),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    # The name by which others find the run; NULL for runs that a single step made for itself.
    sa.Column("found_by", sa.Text),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("began_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "id"),
    sa.UniqueConstraint("project", "found_by"),
    sa.ForeignKeyConstraint(["project"], ["project.name"]),
)

step = sa.Table(
    "step",
    metadata,
    project_column(),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("token_hash", sa.LargeBinary(32)),
    sa.Column("began_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("finished_at", Moment),
    # What begin and finish said, as canonical JSON: a repeated request is compared with it.
    sa.Column("begun", sa.Text, nullable=False),
    sa.Column("finished", sa.Text),
    sa.Column("record_digest", sa.LargeBinary(32)),
    # The sealed bytes, from the decision to seal until the segment that holds them is durable;
    # then the bundle, from the decision for it until its object is.
    sa.Column("record", sa.LargeBinary),
    sa.Column("segment", sa.Text),
    sa.Column("segment_start", sa.BigInteger),
    sa.Column("segment_length", sa.BigInteger),
    sa.PrimaryKeyConstraint("project", "id"),
    sa.ForeignKeyConstraint(["project", "run"], ["run.project", "run.id"]),
    sa.Index(None, "project", "run"),
    sa.Index(None, "state", "expires_at"),
    sa.Index(None, "token_hash"),
)

step_input = sa.Table(
    "step_input",
    metadata,
    project_column(),
    sa.Column("step", sa.Text, nullable=False),
    # `input`, or `source` for what was checked out: lineage follows both, the record keeps them apart.
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("address", Address, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("project", "step", "role", "address", "uri", "name"),
    sa.ForeignKeyConstraint(["project", "step"], ["step.project", "step.id"]),
    sa.ForeignKeyConstraint(["project", "address"], ["artifact.project", "artifact.address"]),
    sa.Index(None, "project", "address", "step"),
    sqlite_with_rowid=False,
)

step_output = sa.Table(
    "step_output",
    metadata,
    project_column(),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("address", Address, nullable=False),
    sa.Column("size", sa.BigInteger),
    sa.Column("received", sa.Boolean(name="received"), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("project", "step", "role", "name"),
    sa.ForeignKeyConstraint(["project", "step"], ["step.project", "step.id"]),
    sa.ForeignKeyConstraint(["project", "address"], ["artifact.project", "artifact.address"]),
    sa.Index(None, "project", "address", "step"),
    sqlite_with_rowid=False,
)

step_dep = sa.Table(
    "step_dep",
    metadata,
    project_column(),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("dep", sa.Text, nullable=False),
    sa.PrimaryKeyConstraint("project", "step", "dep"),
    sa.ForeignKeyConstraint(["project", "step"], ["step.project", "step.id"]),
    sa.ForeignKeyConstraint(["project", "dep"], ["step.project", "step.id"]),
    sa.Index(None, "project", "dep", "step"),
    sqlite_with_rowid=False,
)

step_ledger = sa.Table(
    "step_ledger",
    metadata,
    project_column(),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("reason", sa.Text),
    # A state is entered once; what holds it up is the newest reason given for it.
    sa.PrimaryKeyConstraint("project", "step", "state"),
    sa.ForeignKeyConstraint(["project", "step"], ["step.project", "step.id"]),
    sqlite_with_rowid=False,
)
