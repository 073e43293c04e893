"""Projects, their tokens, and requests already answered."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Moment, metadata, project_column

project = sa.Table(
    "project",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("created_at", Moment, nullable=False),
)

token = sa.Table(
    "token",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    project_column(),
    sa.Column("hash", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
    sa.ForeignKeyConstraint(["project"], ["project.name"]),
    sa.Index(None, "project"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    project_column(),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("reserved_id", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("response", sa.LargeBinary),
    sa.Column("created_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "principal", "route", "key"),
    sa.Index(None, "created_at"),
)
