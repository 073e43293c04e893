"""Questions about the log: whether something is in it, where, and how that can be shown.

Whoever asks has no private key and needs none: the answers prove themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from artifacts import layout
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, NotFoundError
from artifacts.queries import log_leaves
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from provenance.log.checkpoint import Checkpoint
from provenance.log.notes import MAX_NOTE_BYTES, Note, NoteKey
from provenance.log.objects import LogObjects
from provenance.log.prooftext import LogProof
from provenance.log.tiles import WIDTH, decode_entries, tile_at


@dataclass(frozen=True, slots=True)
class Logged:
    """A leaf, and the proof that it is in the log of a checkpoint."""

    entry: bytes
    proof: LogProof
    checkpoint: Checkpoint
    """Read, and not verified here."""


@dataclass(frozen=True, slots=True)
class LogReader:
    """Answers from the index and the published log."""

    database: Database
    store: ObjectStore

    async def index_of(self, project: str, bundle: Digest) -> int | None:
        """The number of a bundle in the log, or None where it is not logged yet."""
        async with self.database.reading() as connection:
            return await log_leaves.number_of(connection, project, bundle)

    async def note(self) -> bytes:
        """The newest checkpoint, as it was signed.

        Raises:
            NotFoundError: nothing was ever logged.
        """
        note = await LogObjects(self.store).note()
        if note is None:
            raise NotFoundError("nothing was logged yet", hint="what is signed is logged within a second")
        return note

    async def key(self) -> NoteKey:
        """The public key of the log. A convenience, not trust.

        Raises:
            NotFoundError: no signer was ever started.
            CorruptedError: what is published is no key.
        """
        raw = await read_at_most(self.store, layout.log_key(), MAX_NOTE_BYTES)
        try:
            return NoteKey.parse(raw.decode().removesuffix("\n"))
        except (InvalidInputError, UnicodeDecodeError) as error:
            raise CorruptedError("the published key of the log is damaged") from error

    async def logged(self, project: str, bundle: Digest) -> Logged:
        """The leaf of a bundle, and the proof that it is in the log.

        Raises:
            NotFoundError: it is not logged, or not yet.
            EvidenceError: the published checkpoint or a tile is damaged.
        """
        number = await self.index_of(project, bundle)
        note = await self.note()
        checkpoint = Checkpoint.read(Note.parse(note).text)
        if number is None or number >= checkpoint.size:
            raise NotFoundError(
                "that is not logged", hint="what is signed is logged within a second", digest=str(bundle)
            )
        objects = LogObjects(self.store)
        tile = tile_at(None, number // WIDTH, size=checkpoint.size)
        entries = decode_entries(await objects.tile(tile), tile.width)
        proof = await objects.proof(number, note, size=checkpoint.size)
        return Logged(entries[number % WIDTH], proof, checkpoint)
