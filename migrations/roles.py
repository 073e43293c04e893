"""What each process may do in PostgreSQL: one group role each, granted what it writes and no more.

Whoever migrates owns the tables and makes the roles; the login of a process is made a
member of its own (`GRANT custody_api TO …`). On top of the grants a trigger keeps api
and worker from changing a step once it is sealed.

These are a second fence. The first is that the signer believes no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa

from artifacts.tables import metadata

PROCESSES: Final = ("api", "signer", "worker")
_RECORDING: Final = {
    "artifact": "INSERT, UPDATE",
    "digest_alias": "INSERT",
    "reference": "INSERT",
    "step": "INSERT, UPDATE",
    "step_dep": "INSERT",
    "step_ledger": "INSERT",
    "upload": "INSERT, UPDATE",
    "receipt": "INSERT",
}
WRITES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "api": {
            **_RECORDING,
            "idempotency": "INSERT, UPDATE",
            "run": "INSERT",
            "step_input": "INSERT",
            "step_output": "INSERT, UPDATE",
            # UPDATE, because what is sent again while a worker reads it back has to be read back once more.
            "queue": "INSERT, UPDATE",
            "tree": "INSERT, UPDATE",
            "tree_claim": "INSERT",
            "tree_sender": "INSERT",
            "last_use": "INSERT, UPDATE",
        },
        "signer": {
            "attestation": "INSERT",
            "attestation_subject": "INSERT",
            "step": "UPDATE",
            "step_ledger": "INSERT, UPDATE",
            # INSERT, because what is signed is to be logged.
            "queue": "INSERT, UPDATE, DELETE",
            "log_leaf": "INSERT, UPDATE",
            "log_head": "INSERT, UPDATE",
            # That a removal or a hold is signed by now; what it says is the worker's and the operator's.
            "tombstone": "UPDATE",
            "hold_event": "UPDATE",
        },
        "worker": {
            **_RECORDING,
            "upload": "UPDATE, DELETE",
            "idempotency": "DELETE",
            "queue": "INSERT, UPDATE, DELETE",
            "tree": "UPDATE, DELETE",
            "tree_claim": "DELETE",
            "tree_part": "INSERT, DELETE",
            "tree_sender": "DELETE",
            # UPDATE, because rows that others rely on are locked before they are relied on.
            "pack": "INSERT, UPDATE, DELETE",
            "receipt": "INSERT, UPDATE, DELETE",
            "location": "INSERT, DELETE",
            "tombstone": "INSERT, UPDATE",
            "last_use": "INSERT, UPDATE, DELETE",
        },
    }
)
"""What each process writes; all may read everything."""

_KINDS: Final = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_GUARD: Final = """
CREATE OR REPLACE FUNCTION custody_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state IN ('sealed', 'signed', 'refused')
     AND (pg_has_role(current_user, 'custody_api', 'MEMBER')
          OR pg_has_role(current_user, 'custody_worker', 'MEMBER'))
     AND NOT pg_has_role(current_user, 'custody_signer', 'MEMBER') THEN
    RAISE insufficient_privilege USING MESSAGE = 'a sealed step does not change';
  END IF;
  RETURN NEW;
END $$
"""


def role_of(process: str) -> str:
    """The group role of a process."""
    return f"custody_{process}"


def grant(connection: sa.Connection) -> None:
    """Make the roles and give each what its process writes; safe to repeat, nothing else stays granted."""
    known = {row[0] for row in connection.exec_driver_sql("SELECT rolname FROM pg_roles")}
    for process in PROCESSES:
        role = role_of(process)
        if role not in known:
            connection.exec_driver_sql(f"CREATE ROLE {role} NOLOGIN")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {role}")
        for table in (*metadata.tables, "alembic_version"):
            connection.exec_driver_sql(f'REVOKE ALL ON "{table}" FROM {role}')
            connection.exec_driver_sql(f'GRANT SELECT ON "{table}" TO {role}')
        for table, kinds in WRITES[process].items():
            connection.exec_driver_sql(f'GRANT {kinds} ON "{table}" TO {role}')
        connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    connection.exec_driver_sql(_GUARD)
    connection.exec_driver_sql("DROP TRIGGER IF EXISTS custody_sealed ON step")
    connection.exec_driver_sql(
        "CREATE TRIGGER custody_sealed BEFORE UPDATE ON step FOR EACH ROW EXECUTE FUNCTION custody_sealed()"
    )
    connection.commit()


def differences(connection: sa.Connection, process: str) -> list[str]:
    """What whoever is connected may write and `process` never does, or may not and has to."""
    told = []
    allowed = {table: kinds.split(", ") for table, kinds in WRITES[process].items()}
    for table in metadata.tables:
        for kind in _KINDS:
            may = _may(connection, table, kind)
            must = kind in allowed.get(table, ())
            if may != must:
                told.append(f"may not {kind} {table}" if must else f"may {kind} {table}")
    guarded = "SELECT count(*) FROM pg_trigger WHERE tgname = 'custody_sealed'"
    if process != "signer" and not connection.exec_driver_sql(guarded).scalar_one():
        told.append("may UPDATE steps that are sealed")
    return told


def _may(connection: sa.Connection, table: str, kind: str) -> bool:
    asked = sa.select(sa.func.has_table_privilege(f'public."{table}"', kind))
    return bool(connection.execute(asked).scalar_one())
