"""How damaged and missing objects are mended, as far as they can be.

1. From the second store, where the copy of the same name passes the same check; whatever
   lies there otherwise is left alone. The second store is never written to.
2. Without a copy, what follows from other things is made anew: a receipt for bytes that were
   hashed just now, the layout and the receipt of a tree, the note of how a manifest rests.
3. Of bytes that stay damaged a worker tells, as it does when it reads back what was sent:
   then nobody relies on them, and whoever sends the good ones again mends them.

A copy takes the place of what is damaged in one step (`ObjectStore.replace`). What was removed is
not brought back: of bytes and trees the index has to know, and none may be under a removal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from artifacts import layout, receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import HASH, Content
from artifacts.control import BLOB, TREE
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, CustodyError, NotFoundError
from artifacts.limits import MAX_BLOB_BYTES
from artifacts.named_keys import Kind
from artifacts.queries import queue, scrubbing
from artifacts.queries.scrubbing import COUNTED, Expected
from artifacts.receipts import Receipt
from artifacts.removal import Removals
from artifacts.scrubbing.areas import Item
from artifacts.scrubbing.checks import Checks, Look
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.remaking import Remaker

FROM_COPY: Final = "from the second store"
ANEW: Final = "made anew"
_FOLDED: Final = frozenset({Kind.MANIFEST, Kind.LAYOUT})


@dataclass(frozen=True, slots=True)
class Healed:
    """What came of mending one object: how it was done, or why not."""

    how: str | None = None
    why_not: str | None = None


class Healer:
    """Mends objects of one store; safe to repeat, safe to race."""

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, checks: Checks, copies: Checks | None
    ) -> None:
        """`checks` look at the store itself, `copies` at the second one, if there is one."""
        self._database = database
        self._store = store
        self._clock = clock
        self._checks = checks
        self._copies = copies
        self._content = Content(database, store, clock)
        self._removals = Removals(database, store, clock)
        self._remaker = Remaker(database, store, clock)

    async def heal(self, item: Item, expected: Expected | None) -> Healed:
        """Mend `item`, which was found damaged or missing."""
        item = replace(item, size=None)
        if expected is None and item.kind in COUNTED:
            # It may be what a purge has yet to remove, and nothing relies on it.
            return Healed(why_not="the index does not know it")
        why_not = await self._from_copy(item, expected)
        if why_not is None:
            return Healed(FROM_COPY)
        if await self._made_anew(item, expected):
            return Healed(ANEW)
        if item.kind == Kind.BLOB:
            await self._tell(item)
        return Healed(why_not=why_not)

    # 1

    async def _from_copy(self, item: Item, expected: Expected | None) -> str | None:
        """Why the copy does not help, or None where it did."""
        if self._copies is None:
            return "there is no second store"
        try:
            # Compressed by somebody else, a manifest has another digest as it rests, and the same text.
            look = await self._copies.look(item, None if item.kind in _FOLDED else expected)
            if look.reason is not None:
                return f"the copy in the second store is damaged too: {look.reason}"
            await self._copied(self._copies.store, item, look)
            return await self._now_right(item, expected, look)
        except NotFoundError:
            return "there is no copy in the second store"
        except CustodyError as error:
            return f"the copy could not be taken: {error.message}"

    async def _copied(self, copies: ObjectStore, item: Item, look: Look) -> None:
        if item.kind in {Kind.BLOB, Kind.MANIFEST}:
            kind = BLOB if item.kind == Kind.BLOB else TREE
            project, digest = _placed(item)
            await self._removals.standing(project, kind, digest)
        staged = await self._store.stage(copies.open(item.key), at=self._clock.now(), limit=MAX_BLOB_BYTES)
        if staged.digest != look.digest:
            await self._store.discard(staged)
            raise CorruptedError("it changed while it was read")
        if item.kind != Kind.BLOB or item.project is None or item.digest is None:
            await self._store.replace(staged, item.key)
        elif await self._content.publish(item.project, staged):
            await self._look_again(item.project, item.digest)

    async def _now_right(self, item: Item, expected: Expected | None, look: Look) -> str | None:
        if item.kind in _FOLDED and expected is not None and expected.stored != look.digest:
            expected = replace(expected, stored=look.digest, size=look.size)
            await self._renew(item, expected)
        if (await self._checks.look(item, expected)).reason is not None:
            return "the copy did not take the place of what is damaged"
        return None

    # 2

    async def _made_anew(self, item: Item, expected: Expected | None) -> bool:
        way = self._ways.get(item.kind)
        return way is not None and expected is not None and await way(item, expected)

    @property
    def _ways(self) -> dict[str, Callable[[Item, Expected], Awaitable[bool]]]:
        return {
            Kind.RECEIPT: self._receipt,
            Kind.TREE_RECEIPT: self._tree_receipt,
            Kind.LAYOUT: self._layout,
            Kind.MANIFEST: self._manifest,
        }

    async def _receipt(self, item: Item, expected: Expected) -> bool:
        """Whoever has just hashed the bytes may say so again; of damage nothing is said here."""
        project, digest = _placed(item)
        blob = Item(layout.blob(project, digest), Kind.BLOB, project, digest)
        with contextlib.suppress(NotFoundError):
            look = await self._checks.look(blob, expected)
            if look.reason is None:
                receipt = Receipt(project, item.detail, digest, look.size, digest)
                await receipts.rewrite(self._store, receipt, at=self._clock.now())
                return True
        return False

    async def _tree_receipt(self, item: Item, expected: Expected) -> bool:
        _ = expected
        return await self._remaker.remake(*_placed(item))

    async def _layout(self, item: Item, expected: Expected) -> bool:
        _ = expected
        project, digest = _placed(item)
        async with self._database.reading() as connection:
            trees = await scrubbing.trees_laid_out(connection, project, digest)
        made = [await self._remaker.remake(project, tree) for tree in trees]
        return bool(made) and all(made)

    async def _manifest(self, item: Item, expected: Expected) -> bool:
        """A crash may have come between a good manifest and the note of how it rests."""
        with contextlib.suppress(NotFoundError):
            look = await self._checks.look(item, None)
            if look.reason is None:
                await self._renew(item, replace(expected, stored=look.digest, size=look.size))
                return True
        return False

    async def _renew(self, item: Item, now: Expected) -> None:
        project, digest = _placed(item)
        if now.stored is None or now.size is None:
            return
        renew = scrubbing.renew_manifest if item.kind == Kind.MANIFEST else scrubbing.renew_layout
        async with self._database.writing() as connection:
            await renew(connection, project, digest, stored=now.stored, size=now.size)

    # 3

    async def _tell(self, item: Item) -> None:
        """Let a worker look, and say what it finds; an older word that all is well goes first.

        In this order: a worker writes nothing where a receipt that holds lies already.
        """
        if await self._store.size(item.key) is None:
            return  # without the bytes a receipt vouches for nothing
        project, digest = _placed(item)
        with contextlib.suppress(CorruptedError):
            told = await receipts.read(self._store, project, digest, kind=receipts.WORKER)
            if told is not None and not told.holds:
                return
        await self._store.delete(layout.receipt(project, digest, receipts.WORKER))
        await self._look_again(project, digest)

    async def _look_again(self, project: str, digest: Digest) -> None:
        now = to_milliseconds(self._clock.now())
        async with self._database.writing() as connection:
            await queue.enqueue_again(connection, [(project, HASH, digest.hex)], available_at=now)


def _placed(item: Item) -> tuple[str, Digest]:
    """Project and digest of an object that has both."""
    if item.project is None or item.digest is None:
        raise ValueError(f"{item.key} is of no project")
    return item.project, item.digest
