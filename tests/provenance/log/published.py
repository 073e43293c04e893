"""A service whose log is written, looked at as anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts import layout
from artifacts.digest import Digest
from artifacts.queries import queue
from artifacts.queries.log_leaves import LOG
from provenance.bundle import Bundle
from provenance.log.checkpoint import Checkpoint
from provenance.log.leaf import Leaf
from provenance.log.objects import LogObjects
from provenance.log.tiles import decode_entries, tile_at
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import built
from tests.attacks.remains import change, query
from tests.control import DEFAULT
from tests.service import Service


@dataclass
class Log:
    """A log that was published, as anybody sees it."""

    checkpoint: Checkpoint
    entries: list[bytes]


async def published(service: Service) -> Log:
    """The newest checkpoint and all entries; every one of them is in it."""
    objects, key = LogObjects(service.store), service.appender().signer.key
    note = await objects.note()
    assert note is not None
    checkpoint = Checkpoint.verified(note, key)
    entries: list[bytes] = []
    for number in range(-(-checkpoint.size // 256)):
        tile = tile_at(None, number, size=checkpoint.size)
        entries += decode_entries(await objects.tile(tile), tile.width)
    for number, entry in enumerate(entries):
        proof = await objects.proof(number, note, size=checkpoint.size)
        assert proof.verify(entry, key) == checkpoint
        Leaf.parse(entry).check()
    return Log(checkpoint, entries)


async def some_built(service: Service, count: int, *, first: int = 0) -> None:
    """So many signed steps."""
    async with service.client() as client:
        for number in range(first, first + count):
            await built(service, client, b"wheel %d" % number)


def bundles(service: Service) -> list[bytes]:
    """Every signed statement in the store."""
    folder = service.folder / "data" / "objects" / "attestations" / "sha256"
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))]


def leaf_of(service: Service, bundle: bytes) -> bytes:
    """The leaf of a bundle that the signer made."""
    return Leaf.of(Bundle.parse(bundle), service.signer.public_key).to_bytes()


async def planted(service: Service, count: int) -> list[Digest]:
    """So many statements that the signer signed, in the store and in the index."""
    digests = []
    for number in range(count):
        raw = Bundle.of(sealed(PAYLOAD_TYPE, b'{"n":%d}' % number, service.signer)).to_bytes()
        digest = Digest.of(raw)
        await service.store.put(layout.attestation(digest), raw)
        digests.append(digest)
    if count:
        await some_built(service, 1, first=100_000)
        await empty_queue(service)
        folder = service.folder / "data"
        # Rows of statements like the one of the step that was built, but for their names.
        step, builder, kind, keyid, record, at = query(
            folder,
            "SELECT step, builder_id, predicate_type, keyid, record_digest, signed_at FROM attestation",
        )[0]
        for number, digest in enumerate(digests):
            change(
                folder,
                "INSERT INTO attestation (project, digest, step, builder_id, predicate_type, keyid, record_digest,"
                " signed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(DEFAULT, digest.raw, step, f"{builder}/{number}", kind, keyid, record, at),
            )
    return digests


async def empty_queue(service: Service) -> None:
    change(service.folder / "data", "DELETE FROM queue WHERE kind = ?", LOG)


async def enqueue(service: Service, digests: list[Digest], project: str = DEFAULT) -> None:
    """Ask for bundles to be logged."""
    jobs = [(project, LOG, str(layout.attestation(digest))) for digest in digests]
    async with service.database.writing() as connection:
        await queue.enqueue(connection, jobs, available_at=0)
