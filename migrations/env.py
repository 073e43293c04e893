"""How Alembic runs: one transaction a migration, on a connection it is given.

`migrations.upgrade` is the only caller; it passes the connection, so that no URL and no
secret stands in a file.

On PostgreSQL two that migrate at once go one after the other, and a migration that cannot
have its lock gives up instead of making every reader wait behind it.
"""

from __future__ import annotations

from alembic import context

from artifacts.tables import metadata

LOCK_SECONDS = 10
STATEMENT_SECONDS = 3600
_OURS = 0x637573746F6479  # an advisory lock needs a number, and nobody else of the database this one

connection = context.config.attributes["connection"]
on_a_server = connection.dialect.name == "postgresql"
if on_a_server:
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({_OURS})")
    # Only from here on: whoever waits for another that migrates may wait long.
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    connection.exec_driver_sql(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    connection.commit()
try:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        # SQLite undoes CREATE and ALTER too, once the driver is made to begin (`artifacts.db.alter`).
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
finally:
    if on_a_server:
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_OURS})")
        connection.commit()
