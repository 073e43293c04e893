"""A folder in which every operation has something to do."""

from __future__ import annotations

from pathlib import Path

from artifacts.beginning import Beginning
from artifacts.content import HASH
from artifacts.trees.taking import CHECK
from tests.faults.operations import (
    CONTENT,
    PRINCIPAL,
    PROJECT,
    TO_ATTEST,
    TO_COLLECT,
    TO_FINISH,
    TO_JOIN,
    TO_PUT,
    TREE_TO_CHECK,
    TREE_TO_COLLECT,
    finish,
    pieces,
    put_output,
    put_parts,
    put_tree,
)
from tests.faults.reopened import reopened
from tests.service import a_service


async def prepare(folder: Path, operation: str) -> None:
    """Steps to put to, finish and attest, a tree to check, blobs to read back; for `join` an upload."""
    async with a_service(folder) as service:
        for number, step in enumerate((TO_PUT, TO_FINISH, TO_ATTEST)):
            await service.parts.recorder.begin_step(_beginning(step, number))
    async with reopened(folder) as again:
        await put_output(again, TO_FINISH, CONTENT + b"!")
        await put_output(again, TO_ATTEST, CONTENT + b"?")
        await finish(again, TO_ATTEST)
        await put_tree(again, TREE_TO_CHECK, _to_nobody)
        if operation == "join":
            # It is large, and everything that lies there is hashed again and again.
            await put_parts(again, TO_JOIN, _to_nobody, [])
        if operation == "collect":
            await again.recorder.receive_blob(PROJECT, pieces(TO_COLLECT), declared=None)
            await put_tree(again, TREE_TO_COLLECT, _to_nobody)
            await again.work(HASH)
            await again.work(CHECK)


def _to_nobody(_: str) -> None:
    pass


def _beginning(step: str, number: int) -> Beginning:
    return Beginning(
        project=PROJECT,
        principal=PRINCIPAL,
        step=step,
        run=None,
        name="build",
        token_hash=bytes([number]) * 32,
        begun='{"name":"build"}',
        source=None,
        seconds=3600,
    )
