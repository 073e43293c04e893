"""Work to be done by the signer and the worker."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Moment, metadata, project_column

queue = sa.Table(
    "queue",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    project_column(),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("available_at", Moment, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Moment, nullable=False, server_default="0"),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("project", "kind", "topic"),
    sa.Index(None, "kind", "available_at"),
)
