"""Making a tree of outputs that were sent one by one, for steps that have only curl.

The files are packed here and checked by a worker like anybody's: this process is
believed no more than a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from artifacts import layout
from artifacts.content import Content
from artifacts.db import Database
from artifacts.digest import Digest, DigestSet
from artifacts.errors import ConflictError, CorruptedError, NotFoundError
from artifacts.queries import steps, trees
from artifacts.queries.products import ProductRow
from artifacts.recording import Target
from artifacts.refs import ArtifactRef
from artifacts.steps import Role
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, manifest
from artifacts.trees.claims import PackClaim
from artifacts.trees.manifest import Entry
from artifacts.trees.packing import Packer
from artifacts.trees.states import TreeRow
from artifacts.trees.taking import Trees


@dataclass(frozen=True, slots=True)
class Gathered:
    """A tree of outputs, and the output that names it."""

    tree: TreeRow
    output: ProductRow


class Gatherer:
    """Makes trees of the outputs of open steps."""

    def __init__(self, known: Trees, content: Content, database: Database, store: ObjectStore) -> None:
        self._trees = known
        self._content = content
        self._database = database
        self._store = store

    async def gather(self, to: Target, prefix: str) -> Gathered:
        """Make a tree of the outputs whose names lie below `prefix`; it is yet to be recorded as one.

        Raises:
            NotFoundError: there is no such step, or nothing below `prefix`.
            StepFinishedError: the step takes nothing more.
            ConflictError: the bytes of an output are not stored here.
            InvalidInputError: no directory holds files of such names.
            QuotaExceededError: the project has no room for the packs.
        """
        found = await self._outputs(to, prefix)
        text = manifest.write(found)
        tree = Digest.of(text)
        packed = _once(compression.encode(text))
        row, _ = await self._trees.put_manifest(to.project, tree, packed, step=to.step)
        claims = await self._pack(to.project, found)
        row = await self._trees.propose(to.project, tree, claims)
        ref = ArtifactRef(DigestSet.only(tree), name=prefix, media_type=manifest.MEDIA_TYPE)
        return Gathered(row, ProductRow(ref, Role.OUTPUT, row.size))

    async def _outputs(self, to: Target, prefix: str) -> list[Entry]:
        """The outputs as files."""
        async with self._database.reading() as connection:
            await steps.open_step(connection, to.project, to.step, principal=to.principal)
            outputs = await trees.outputs_below(connection, to.project, to.step, f"{prefix}/")
        entries: list[Entry] = []
        for output in outputs:
            if output.size is None:
                raise ConflictError("an output is not stored here", name=output.name)
            path = output.name.removeprefix(f"{prefix}/").encode()
            entries.append(Entry("644", "f", output.digest.raw, output.size, path))
        if not entries:
            raise NotFoundError("the step has no outputs below that name", name=prefix)
        return entries

    async def _pack(self, project: str, entries: Sequence[Entry]) -> list[PackClaim]:
        small = {entry.digest for entry in entries if entry.is_small}
        packer = Packer()
        claims: list[PackClaim] = []
        for raw in await self._trees.missing(project, sorted(small)):
            digest = Digest.sha256(raw)
            content = await self._store.read(layout.blob(project, digest))
            if Digest.of(content) != digest:
                raise CorruptedError("the stored content is damaged", digest=str(digest))
            await asyncio.to_thread(packer.add, content)
            if packer.is_full:
                claims += await self._keep(project, packer)
        return claims + await self._keep(project, packer)

    async def _keep(self, project: str, packer: Packer) -> list[PackClaim]:
        closed = packer.close()
        if closed is None:
            return []
        pack, claim = closed
        taken = await self._content.receive(project, _once(pack), declared=claim.digest)
        async with self._database.writing() as connection:
            await self._content.note(connection, project, taken)
        return [claim]


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
