"""Recording what steps say and send, until they finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout
from artifacts.beginning import Beginning, find, owned
from artifacts.clock import Clock, from_milliseconds, to_milliseconds, written
from artifacts.content import Content, Received
from artifacts.db import Database
from artifacts.digest import Digest, DigestSet
from artifacts.errors import ConflictError, NotFoundError
from artifacts.identifiers import new_ulid
from artifacts.outages import repeated
from artifacts.queries import facts, products, steps, uploads
from artifacts.queries.products import ProductRow
from artifacts.queries.steps import StepRow
from artifacts.refs import ArtifactRef
from artifacts.seal import Seal
from artifacts.steps import Role, Run, StepState
from artifacts.storage.protocol import ObjectStore
from artifacts.wire import canonical, reference_members


@dataclass(frozen=True, slots=True)
class Target:
    """An open step, and who wants to add to it."""

    project: str
    principal: str
    step: str


@dataclass(frozen=True, slots=True)
class Counted:
    """How many references of a request were new, and how many stood already."""

    recorded: int
    known: int


@dataclass(frozen=True, slots=True)
class Arriving:
    """An output whose bytes are on their way."""

    name: str
    role: Role
    uri: str | None = None
    media_type: str | None = None
    declared: Digest | None = None
    by_step: bool = False
    """The step's own token sends them."""

    def stored(self, taken: Received) -> ProductRow:
        """The output once its bytes are stored."""
        digests = DigestSet.only(taken.digest)
        ref = ArtifactRef(digests, uri=self.uri, name=self.name, media_type=self.media_type)
        return ProductRow(ref, self.role, taken.size, self.by_step)


class Recorder:
    """Writes facts about open steps. Every call may be repeated."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        content: Content | None = None,
        seal: Seal | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._content = content or Content(database, store, clock)
        self._seal = seal

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    @repeated
    async def begin_run(
        self, project: str, principal: str, *, id_: str | None, name: str | None
    ) -> tuple[Run, bool]:
        """Begin or find a run; return it and whether it is new.

        Raises:
            ConflictError: that id or name belongs to somebody else.
        """
        now = self._clock.now()
        wanted = Run(id_ or new_ulid(now), project, name or id_ or "run", principal, now)
        async with self._database.reading() as connection:
            found = await find(connection, wanted, by_name=id_ is None and name is not None)
        if found is not None:
            return owned(found, principal), False
        fact: dict[str, object] = {"fact": "run", "id": wanted.id, "name": wanted.name}
        await self._journal(project, fact | ({"named": True} if name else {}), principal, at=now)
        async with self._database.writing() as connection:
            if await steps.begin_run(connection, wanted, found_by=name):
                return wanted, True
            found = await find(connection, wanted, by_name=id_ is None and name is not None)
        if found is None:
            raise ConflictError("another run has that name", name=name)
        return owned(found, principal), False

    @repeated
    async def begin_step(self, beginning: Beginning) -> bool:
        """Begin a step; return whether it is new.

        Raises:
            ConflictError: that id is known with other content, or its run is not the caller's.
            NotFoundError: there is no such run.
        """
        now = self._now()
        row = beginning.row(now)
        async with self._database.writing() as connection:
            await self._run_for(connection, beginning, at=from_milliseconds(now))
            if await steps.begin_step(connection, row):
                if beginning.source is not None:
                    await facts.record_refs(connection, [(row.project, beginning.source)], at=now)
                    await products.add_source(connection, row.project, row.id, beginning.source)
                return True
            known = await steps.find_step(connection, row.project, row.id)
        if (known.begun, known.token_hash, known.principal, known.run) != (
            row.begun,
            row.token_hash,
            row.principal,
            row.run,
        ):
            raise ConflictError("a step of that id has begun with other content", step=row.id)
        return False

    async def _run_for(self, connection: AsyncConnection, beginning: Beginning, *, at: datetime) -> None:
        if beginning.run is None:
            own = Run(beginning.step, beginning.project, beginning.name, beginning.principal, at)
            if await steps.begin_run(connection, own, found_by=None):
                return
        # A step without a run joins the one that has its id, and only its own principal's.
        found = await steps.find_run(connection, beginning.project, id_=beginning.run or beginning.step)
        if found is None:
            raise NotFoundError("there is no such run", hint="POST /v1/runs begins one", run=beginning.run)
        owned(found, beginning.principal)

    async def check_run(self, project: str, principal: str, run: str) -> None:
        """Make sure `run` exists and is the caller's.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is somebody else's.
        """
        async with self._database.reading() as connection:
            found = await steps.find_run(connection, project, id_=run)
        if found is None:
            raise NotFoundError("there is no such run", hint="POST /v1/runs begins one", run=run)
        owned(found, principal)

    @repeated
    async def add_inputs(self, to: Target, refs: Sequence[ArtifactRef]) -> Counted:
        """Record inputs of an open step.

        Raises:
            StepFinishedError: it is not open.
        """
        async with self._database.writing() as connection:
            await _open(connection, to)
            await facts.record_refs(connection, [(to.project, ref) for ref in refs], at=self._now())
            new = await products.add_inputs(connection, to.project, to.step, refs)
        return Counted(new, len(refs) - new)

    @repeated
    async def add_outputs(
        self, to: Target, rows: Sequence[ProductRow], *, sender: str | None = None
    ) -> Counted:
        """Record outputs of an open step whose bytes are stored, or live elsewhere.

        What `sender`, the step's own token, has sent in parts counts as received from it.

        Raises:
            StepFinishedError: it is not open.
            ConflictError: a name stands for another digest.
        """
        async with self._database.writing() as connection:
            await _open(connection, to)
            if sender is not None:
                rows = await _received(connection, to.project, sender, rows)
            await facts.record_refs(connection, [(to.project, row.ref) for row in rows], at=self._now())
            new = await products.add_outputs(connection, to.project, to.step, rows)
        return Counted(new, len(rows) - new)

    async def receive_output(
        self, to: Target, arriving: Arriving, content: AsyncIterable[bytes]
    ) -> tuple[ProductRow, bool]:
        """Take in the bytes of an output; return it as recorded and whether it was new.

        Raises:
            StepFinishedError: the step is not open.
            ConflictError: the name stands for another digest.
            DigestMismatchError: other bytes arrived than declared.
        """
        async with self._database.reading() as connection:
            await _open(connection, to)
        taken = await self._content.receive(to.project, content, declared=arriving.declared)
        stored = arriving.stored(taken)
        return stored, await self._note_output(to, stored, taken)

    @repeated
    async def _note_output(self, to: Target, stored: ProductRow, taken: Received) -> bool:
        async with self._database.writing() as connection:
            await _open(connection, to)
            await self._content.note(connection, to.project, taken)
            await facts.record_refs(connection, [(to.project, stored.ref)], at=self._now())
            return bool(await products.add_outputs(connection, to.project, to.step, [stored]))

    async def receive_blob(
        self, project: str, content: AsyncIterable[bytes], *, declared: Digest | None, by_step: bool = False
    ) -> tuple[Received, bool]:
        """Take in bytes that are no output yet; return them and whether they were new here.

        What a step's own token sends is recorded only once the step names it as its output.
        """
        taken = await self._content.receive(project, content, declared=declared)
        return taken, await self._note_blob(project, taken, named=not by_step)

    @repeated
    async def _note_blob(self, project: str, taken: Received, *, named: bool) -> bool:
        ref = ArtifactRef(DigestSet.only(taken.digest))
        async with self._database.writing() as connection:
            new = await self._content.note(connection, project, taken)
            if named:
                await facts.record_refs(connection, [(project, ref)], at=self._now())
            return new

    @repeated
    async def record_reference(self, project: str, principal: str, ref: ArtifactRef) -> bool:
        """Record a reference outside any step; return whether it was new.

        It is a plain fact, so the journal in the bucket has it before the index.
        """
        async with self._database.reading() as connection:
            if await facts.is_recorded(connection, project, ref):
                return False
        now = self._clock.now()
        fact: dict[str, object] = {"fact": "reference", "reference": reference_members(ref)}
        await self._journal(project, fact, principal, at=now)
        async with self._database.writing() as connection:
            return await facts.record_named(connection, project, ref, at=to_milliseconds(now))

    async def _journal(self, project: str, fact: dict[str, object], principal: str, *, at: datetime) -> None:
        """Keep a plain fact in the bucket, so that the index can be lost."""
        line = canonical({**fact, "principal": principal, "recorded_at": written(at)}).encode() + b"\n"
        key = layout.journal(project, new_ulid(at), Digest.of(line), at)
        await self._store.put(key if self._seal is None else self._seal.put_on(key), line)

    async def step_page(self, project: str, step: str) -> StepRow:
        """The step as the index knows it.

        Raises:
            NotFoundError: there is none.
        """
        async with self._database.reading() as connection:
            return await steps.find_step(connection, project, step)

    async def wait_signed(self, project: str, step: str, *, seconds: float) -> None:
        """Return when the step is signed or refused, or after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        pause = 0.01
        while asyncio.get_running_loop().time() < deadline:
            row = await self.step_page(project, step)
            if row.state in {StepState.SIGNED, StepState.REFUSED}:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)


async def _open(connection: AsyncConnection, to: Target) -> None:
    await steps.open_step(connection, to.project, to.step, principal=to.principal)


async def _received(
    connection: AsyncConnection, project: str, sender: str, rows: Sequence[ProductRow]
) -> list[ProductRow]:
    """`rows`, those marked whose bytes `sender` has sent in parts."""
    asked = [row.ref.digest for row in rows if row.ref.digest.algorithm == "sha256"]
    sent = await uploads.sent_by(connection, project, sender, asked)
    return [
        replace(row, received=True, size=sent[row.ref.digest]) if row.ref.digest in sent else row
        for row in rows
    ]
