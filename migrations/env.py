"""How Alembic runs: one transaction a migration, on a connection it is given.

`migrations.upgrade` is the only caller; it passes the connection, so that no URL and no
secret stands in a file.
"""

from __future__ import annotations

from alembic import context

from artifacts.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
