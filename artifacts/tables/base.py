"""What all tables share: one metadata, named constraints, two column types."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Moment = sa.BigInteger
"""Milliseconds since 1970."""

Address = sa.LargeBinary(32)
"""The 32 bytes an artifact is filed under: `artifacts.queries.addresses.address`."""


def project_column() -> sa.Column[str]:
    """The project a row belongs to."""
    return sa.Column("project", sa.Text, nullable=False)
