"""The tables of the index. They stay in this room: queries return domain types.

Times are whole milliseconds since 1970, digests are bytes, JSON is text that we wrote.
Every row that can belong to a project carries it, in every unique key.
"""

from artifacts.tables.base import metadata
from artifacts.tables.content import artifact, digest_alias, receipt, reference
from artifacts.tables.evidence import (
    attestation,
    attestation_subject,
    log_head,
    log_leaf,
    unfiled_segment,
    unfiled_statement,
)
from artifacts.tables.retention import hold, hold_event, last_use, tombstone
from artifacts.tables.steps import run, step, step_dep, step_input, step_ledger, step_output
from artifacts.tables.tenancy import idempotency, project, token
from artifacts.tables.trees import location, pack, tree, tree_claim, tree_part, tree_sender
from artifacts.tables.uploads import upload
from artifacts.tables.work import queue

__all__ = [
    "artifact",
    "attestation",
    "attestation_subject",
    "digest_alias",
    "hold",
    "hold_event",
    "idempotency",
    "last_use",
    "location",
    "log_head",
    "log_leaf",
    "metadata",
    "pack",
    "project",
    "queue",
    "receipt",
    "reference",
    "run",
    "step",
    "step_dep",
    "step_input",
    "step_ledger",
    "step_output",
    "token",
    "tombstone",
    "tree",
    "tree_claim",
    "tree_part",
    "tree_sender",
    "unfiled_segment",
    "unfiled_statement",
    "upload",
]
