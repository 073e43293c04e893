"""Taking trees in: the manifest, then what is claimed of its packs. Nothing here is believed yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence

from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Admission
from artifacts.control import BLOB, TREE
from artifacts.db import Database
from artifacts.digest import Digest, DigestSet
from artifacts.errors import (
    BeingRemovedError,
    ConflictError,
    DigestMismatchError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    PurgedError,
)
from artifacts.limits import MAX_MANIFEST_BYTES, MAX_TREE_REPORTED
from artifacts.naming import Naming
from artifacts.queries import facts, locations, queue, receipts, trees, uses
from artifacts.refs import ArtifactRef
from artifacts.removal import Removals, Standing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import keeping, remaking
from artifacts.trees.claims import PackClaim
from artifacts.trees.manifest import MEDIA_TYPE
from artifacts.trees.reading import Reading, watched
from artifacts.trees.states import TreeRow, TreeState

CHECK = "tree"
"""The queue of trees to be checked; its topics are sha256 hex of manifests."""


class Trees:
    """The trees of every project, each in its own world. Every call may be repeated."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        admission: Admission | None = None,
        naming: Naming | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._admission = admission
        self._naming = naming or Naming(database, clock)
        self._removals = Removals(database, store, clock)

    async def put_manifest(
        self, project: str, tree: Digest, content: AsyncIterable[bytes], *, step: str | None = None
    ) -> tuple[TreeRow, bool]:
        """Keep the compressed manifest of `tree`; return the tree and whether it was new.

        `step` is the step whose token sends it.

        Raises:
            InvalidInputError: it is not one zstd frame of one canonical manifest.
            DigestMismatchError: it is the manifest of another tree.
            LimitExceededError: it is too large, or the project has no room for it. In every case
                nothing is left.
            BeingRemovedError: the tree is being removed at the moment.
            PurgedError: it was removed for good.
        """
        reading = Reading.of()
        watching = watched(content, reading)
        staged = await self._store.stage(watching, at=self._clock.now(), limit=MAX_MANIFEST_BYTES)
        try:
            _check(reading, tree)
            standing = await self._removals.standing(project, TREE, tree)
            if self._admission is not None:
                await self._admission.admit(project, tree, staged.size, manifest=True)
        except (InvalidInputError, LimitExceededError, BeingRemovedError, PurgedError):
            await self._store.discard(staged)
            raise
        known = await self._known(project, tree)
        before = None if known is None else known.stored
        try:
            resting, size = await keeping.keep_manifest(self._store, project, tree, staged, known=before)
        except NotFoundError as error:
            raise BeingRemovedError(
                "the tree was removed meanwhile; send it again", digest=str(tree)
            ) from error
        row = TreeRow(
            digest=tree,
            state=TreeState.INCOMPLETE,
            reason="nobody has said yet where its files lie",
            missing=(),
            entries=reading.manifest.entries,
            size=reading.manifest.size,
            stored=resting,
            layout=None,
            layout_stored=None,
            stored_size=size,
        )
        noted = await self._noted(project, row, step, standing)
        if noted[0].stored != resting:
            await keeping.agree(self._database, self._store, project, tree)
        await self._check_layout(project, noted[0])
        if self._admission is not None:
            self._admission.settled(project, tree, manifest=True)
        return noted

    async def _known(self, project: str, tree: Digest) -> TreeRow | None:
        async with self._database.reading() as connection:
            return await trees.find_tree(connection, project, tree)

    async def _check_layout(self, project: str, row: TreeRow) -> None:
        """Let a worker make the layout of a present tree anew if it is damaged."""
        if not await remaking.is_whole(self._store, project, row):
            now = to_milliseconds(self._clock.now())
            async with self._database.writing() as connection:
                await queue.enqueue(connection, [(project, CHECK, row.digest.hex)], available_at=now)

    async def _noted(
        self, project: str, row: TreeRow, step: str | None, standing: Standing
    ) -> tuple[TreeRow, bool]:
        now = to_milliseconds(self._clock.now())
        ref = ArtifactRef(DigestSet.only(row.digest), media_type=MEDIA_TYPE)
        async with self._database.writing() as connection:
            await self._removals.check(connection, project, TREE, row.digest, standing)
            new = await trees.add_tree(connection, project, row, at=now)
            if step is not None:
                # What a step sends is an artifact once the step names it as its output.
                await trees.note_sender(connection, project, row.digest, step)
            else:
                await facts.record_refs(connection, [(project, ref)], at=now)
            if new:
                return row, True
            await uses.name(connection, project, [row.digest], at=now)
            return await trees.find_tree(connection, project, row.digest) or row, False

    async def propose(self, project: str, tree: Digest, claims: Sequence[PackClaim]) -> TreeRow:
        """Let a worker check `tree` by what `claims` say of its packs.

        Raises:
            NotFoundError: its manifest is not stored.
            ConflictError: a pack is not stored.
            InvalidInputError: a pack is not as long as its frames.
        """
        known = await self.find(project, tree)
        if known.state is TreeState.PRESENT and await self._naming.present(project, TREE, [tree]):
            await self._check_layout(project, known)
            return known
        await self._check_packs(project, claims)
        bodies = await asyncio.to_thread(lambda: [claim.to_bytes() for claim in claims])
        now = to_milliseconds(self._clock.now())
        async with self._database.writing() as connection:
            if await trees.begin_check(connection, project, tree, at=now):
                await trees.add_claims(connection, project, tree, bodies)
                await queue.enqueue(connection, [(project, CHECK, tree.hex)], available_at=now)
        return await self.find(project, tree)

    async def _check_packs(self, project: str, claims: Sequence[PackClaim]) -> None:
        missing: list[str] = []
        named = await self._naming.present(project, BLOB, [claim.digest for claim in claims])
        async with self._database.reading() as connection:
            for claim in claims:
                size = await receipts.stored_size(connection, project, claim.digest)
                if size is None or claim.digest not in named:
                    missing.append(str(claim.digest))
                elif size != claim.size:
                    raise InvalidInputError(
                        "the pack is not as long as its frames", pack=str(claim.digest), size=size
                    )
        if missing:
            raise ConflictError(
                "packs of the tree are not stored here",
                hint="POST /v1/blobs/uploads them first",
                packs=missing[:MAX_TREE_REPORTED],
            )

    async def find(self, project: str, tree: Digest) -> TreeRow:
        """The tree.

        Raises:
            NotFoundError: its manifest is not stored in this project.
        """
        row = await self._known(project, tree)
        if row is None:
            raise NotFoundError("there is no such tree here", digest=str(tree))
        return row

    async def find_sent(self, project: str, tree: Digest, step: str) -> TreeRow:
        """The tree whose manifest the token of `step` sent.

        Raises:
            NotFoundError: there is none, or it came from somebody else: the step shall not learn which.
        """
        async with self._database.reading() as connection:
            row = await trees.find_tree(connection, project, tree)
            if row is None or not await trees.was_sent(connection, project, tree, step):
                raise NotFoundError("there is no such tree here", digest=str(tree))
        return row

    async def wait_checked(self, project: str, tree: Digest, *, seconds: float) -> TreeRow:
        """The tree once a worker has looked, or as it is after `seconds`.

        Raises:
            NotFoundError: its manifest is not stored in this project.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        pause = 0.01
        while True:
            row = await self.find(project, tree)
            if row.state is not TreeState.CHECKING or asyncio.get_running_loop().time() >= deadline:
                return row
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    async def missing(self, project: str, digests: Sequence[bytes]) -> list[bytes]:
        """Those contents that neither lie in a checked frame here nor are a large blob of this project.

        A small blob does not count: the layout of a tree has places in frames for small
        contents and no others. What is here stays for the time being: see `Naming`.
        """
        async with self._database.reading() as connection:
            packs = await uses.packs_of(connection, project, digests)
            rest = [digest for digest in digests if digest not in packs]
            blobs = await locations.large_blobs(connection, project, rest)
        asked = sorted({*packs.values(), *blobs})
        named = await self._naming.present(project, BLOB, [Digest.sha256(raw) for raw in asked])
        here = {digest.raw for digest in named}
        return [digest for digest in digests if packs.get(digest, digest) not in here]


def _check(reading: Reading, tree: Digest) -> None:
    found = reading.finish()
    if found != tree:
        raise DigestMismatchError(
            "this is the manifest of another tree", declared=str(tree), arrived=str(found)
        )
