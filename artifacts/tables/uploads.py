"""Resumable uploads: what was announced, and what became of it. The parts are in `staging/`."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Moment, metadata, project_column

upload = sa.Table(
    "upload",
    metadata,
    project_column(),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    # open, checking, present or refused.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("began_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "id"),
    sa.Index(None, "project", "digest"),
    sa.Index(None, "state", "began_at"),
    sqlite_with_rowid=False,
)
