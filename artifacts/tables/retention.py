"""What keeps bytes from being removed, and what became of those that were."""

from __future__ import annotations

import sqlalchemy as sa

from artifacts.tables.base import Moment, metadata, project_column

last_use = sa.Table(
    "last_use",
    metadata,
    project_column(),
    # A blob, a pack or the manifest of a tree. There is a row only where somebody asked for the
    # digest again after its bytes had come: until then the times of its receipts are enough.
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    # When a caller was last told that the bytes are here, so that it does not send them.
    sa.Column("named_at", Moment, nullable=False),
    # When they were last read; 0 where they were not.
    sa.Column("used_at", Moment, nullable=False, server_default="0"),
    sa.PrimaryKeyConstraint("project", "digest"),
    sqlite_with_rowid=False,
)

hold = sa.Table(
    "hold",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("placed_at", Moment, nullable=False),
    sa.PrimaryKeyConstraint("project", "digest"),
    sqlite_with_rowid=False,
)

# Everything that was ever said about holds. `hold` is what follows from it: what is held now.
hold_event = sa.Table(
    "hold_event",
    metadata,
    project_column(),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    # A ULID, larger than that of any event about the same digest before it.
    sa.Column("event", sa.Text, nullable=False),
    # placed or lifted.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    # The digest of the signed event, once there is one.
    sa.Column("attested", sa.LargeBinary(32)),
    sa.PrimaryKeyConstraint("project", "digest", "event"),
    sqlite_with_rowid=False,
)

tombstone = sa.Table(
    "tombstone",
    metadata,
    project_column(),
    # blob, or tree: its manifest and layouts.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    # Counts the removals of this digest: an upload that began before one of them does not count.
    sa.Column("generation", sa.Integer, nullable=False),
    # deleting, until nothing lies there any more; then gone.
    sa.Column("state", sa.Text, nullable=False),
    # unnamed, rule, packed-anew or purged; `detail` is the rule, or what the operator said.
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
    # Purged bytes are not taken in again.
    sa.Column("barred", sa.Boolean(name="barred"), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
    sa.Column("gone_at", Moment),
    # The digest of the signed tombstone of this generation, once there is one.
    sa.Column("attested", sa.LargeBinary(32)),
    sa.PrimaryKeyConstraint("project", "kind", "digest"),
    sa.Index(None, "state", "decided_at"),
)
