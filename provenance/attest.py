"""Attesting: from a sealed record to a stored, signed statement.

This is all the signer does, and it trusts no row. For each step on its queue it

1. reads the record *object*, recomputes its digest, and refuses a second statement for
   the same (step, builder);
2. accepts no proof of origin here: under `builders/local/v1` every fact is `reported`
   unless the bytes themselves say more;
3. derives project, builder, build type and key itself;
4. takes claims about bytes only with a worker's receipt, or hashes them itself;
5. uses the control plane's times, never the step's;
6. enforces counts and sizes, by reading the record as strictly as a stranger's;
7. signs one of a closed list of statements: provenance, or the record itself.

There is no way to hand it a payload. The first statement that a row keeps is the one that is
published, so a crash between any two of its writes ends in the same object and one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, refusals
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, EvidenceError, InvalidInputError, NotFoundError, UnavailableError
from artifacts.queries import attestations, queue, sealing, steps, trees, unfiled, uploads
from artifacts.queries.attestations import AttestationRow
from artifacts.queries.log_leaves import LOG
from artifacts.queries.queue import Job
from artifacts.record_codec import decode
from artifacts.records import Record
from artifacts.refusals import Refusal
from artifacts.steps import StepState
from artifacts.storage.protocol import ObjectStore
from provenance import dsse, record_statement, slsa
from provenance.awaited import hold_for, made_by
from provenance.bundle import Bundle
from provenance.predicate import PROVENANCE_V1
from provenance.seen import labels, trees_of
from provenance.signing import Signer, sealed
from provenance.writer import PAYLOAD_TYPE, encode

BUILDER: Final = "/builders/local/v1"
_AGAIN_MS: Final = 100
_AGAIN_MOST_MS: Final = 2_000
"""Between two looks at a step that has to wait: twice as long each time, up to here."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement about a step, its type, and what it is about."""

    predicate_type: str
    payload: bytes
    subjects: tuple[Digest, ...]


class Attester:
    """Signs sealed steps under one builder with one key."""

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, *, signer: Signer, public_url: str
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._due = Content(database, store, clock).to_be_read_back
        self._signer = signer
        self._public_url = public_url
        self._builder_id = public_url + BUILDER

    async def attest(self, job: Job) -> None:
        """Sign the step that `job` names, refuse it for ever, or give the job back for later."""
        line = stated = None
        try:
            line = await self._record(job)
            if line is None:
                await self._drop(job)
            else:
                stated = await self._stated(job, line)
        except UnavailableError as error:
            await self._later(job, error.message)
        except (EvidenceError, CorruptedError, NotFoundError, InvalidInputError) as error:
            await self._refuse(job, line, error.message)
        else:
            if line is not None and stated is not None:
                await self._sign(job, stated, Digest.of(line))

    async def _stated(self, job: Job, line: bytes) -> Stated | None:
        """What is to be signed; None where it was signed before, and is published now."""
        record = self._checked(job, line)
        if await self._stands(job, Digest.of(line)):
            await self._publish(job)
            return None
        return await self._state(record, line)

    async def _record(self, job: Job) -> bytes | None:
        """Steps 1 and 3: the record's bytes, from an object of the project that asks.

        None of a step that is refused: whoever completes a sealing once more puts it on the
        queue again, and for ever is also after its bytes came back.
        """
        async with self._database.reading() as connection:
            if await attestations.is_refused(connection, job.project, job.topic):
                return None
            place = await sealing.place_of(connection, job.project, job.topic)
        if place is None:
            raise UnavailableError("the record is not sealed yet")
        if not str(place.segment).startswith(f"projects/{job.project}/records/"):
            raise EvidenceError("the record lies outside its project")
        line = await self._store.read(place.segment, start=place.start, length=place.length)
        if Digest.of(line) != place.digest:
            raise EvidenceError("the sealed record was changed")
        return line

    def _checked(self, job: Job, line: bytes) -> Record:
        """Steps 3 and 6: the record follows its format and is about the step it is filed under."""
        record = decode(line)
        if (record.project, record.step) != (job.project, job.topic):
            raise EvidenceError("the record is about another step", record=record.step)
        return record

    async def _stands(self, job: Job, record_digest: Digest) -> bool:
        """Step 1: whether exactly this was signed before.

        Raises:
            EvidenceError: something else was.
        """
        async with self._database.reading() as connection:
            signed = await attestations.of_steps(connection, job.project, [job.topic])
            lost = await unfiled.is_stated(connection, job.topic, self._builder_id)
        own = {row.record_digest for row in signed if row.builder_id == self._builder_id}
        if own - {record_digest}:
            raise EvidenceError("another record of this step is signed already")
        if lost and not own:
            raise EvidenceError("a record of this step that is lost is signed already")
        return bool(own)

    async def _state(self, record: Record, line: bytes) -> Stated:
        """Steps 4, 5 and 7: one of the two statements this signer knows."""
        digest = Digest.of(line)
        async with self._database.reading() as connection:
            known = await trees.states(connection, record.project, trees_of(record))
            sent = await uploads.of_digests(connection, record.project, made_by(record))
            step = await steps.find_step(connection, record.project, record.step) if sent else None
        if step is not None:
            await hold_for(self._store, sent, step)
        seen = await labels(self._store, record, trees=known, due=self._due)
        if slsa.has_provenance(record):
            provenance = slsa.statement(
                record,
                record_digest=digest,
                builder_id=self._builder_id,
                public_url=self._public_url,
                labels=seen,
            )
            subjects = tuple(
                Digest("sha256", subject["digest"]["sha256"])
                for subject in provenance["subject"]
                if "sha256" in subject["digest"]
            )
            return Stated(PROVENANCE_V1, encode(provenance), subjects)
        stated = record_statement.statement(line, builder_id=self._builder_id, public_url=self._public_url)
        return Stated(stated["predicateType"], encode(stated), (digest,))

    async def _sign(self, job: Job, stated: Stated, record_digest: Digest) -> None:
        envelope = sealed(PAYLOAD_TYPE, stated.payload, self._signer)
        bundle = Bundle.of(envelope).to_bytes()
        digest = Digest.of(bundle)
        row = AttestationRow(
            project=job.project,
            digest=digest,
            step=job.topic,
            builder_id=self._builder_id,
            predicate_type=stated.predicate_type,
            keyid=self._signer.public_key.keyid,
            record_digest=record_digest,
            signed_at=to_milliseconds(self._clock.now()),
        )
        # The row decides and keeps the bytes, then the object, then `signed`: labels depend on
        # what was to be seen and when, so another attempt might state otherwise.
        async with self._database.writing() as connection:
            if not await queue.holds(connection, job):
                return
            await attestations.add(connection, row, stated.subjects, bundle=bundle)
        await self._publish(job, fresh=bundle)

    async def _publish(self, job: Job, *, fresh: bytes | None = None) -> None:
        """Store the bundle that the index decided for, and end the job.

        Raises:
            EvidenceError: what the index keeps is not what this signer signed.
        """
        async with self._database.reading() as connection:
            decided = await attestations.decided(connection, job.project, job.topic, self._builder_id)
        if decided is not None:
            digest, bundle = decided
            if bundle != fresh:
                self._check_own(digest, bundle)
            await self._store.put(layout.attestation(digest), bundle)
        # Where nothing was decided for, what stands was settled before, and is on its way to the log.
        await self._settle(job, signed=None if decided is None else decided[0])

    def _check_own(self, digest: Digest, bundle: bytes) -> None:
        """No row is trusted, this one neither: only what this key signed is published."""
        if Digest.of(bundle) != digest:
            raise EvidenceError("the kept bundle is not the one that was signed")
        dsse.verify(Bundle.parse(bundle).envelope, {self._signer.public_key})

    async def _refuse(self, job: Job, line: bytes | None, reason: str) -> None:
        """Refuse the step, and leave an object that says so: for ever outlives the index."""
        async with self._database.writing() as connection:
            # Who was slow may not know that another signed the step meanwhile. While the object
            # is written nobody else can take the job.
            if not await queue.complete(connection, job):
                return
            if line is not None:
                refusal = Refusal(job.project, job.topic, Digest.of(line), reason)
                await refusals.write(self._store, refusal, at=self._clock.now())
            await self._enter(connection, job, StepState.REFUSED, reason=reason)

    async def _drop(self, job: Job) -> None:
        async with self._database.writing() as connection:
            await queue.complete(connection, job)

    async def _settle(self, job: Job, *, signed: Digest | None) -> None:
        async with self._database.writing() as connection:
            if await queue.complete(connection, job):
                await self._enter(connection, job, StepState.SIGNED)
                if signed is not None:
                    topic = str(layout.attestation(signed))
                    now = to_milliseconds(self._clock.now())
                    await queue.enqueue(connection, [(job.project, LOG, topic)], available_at=now)

    async def _enter(
        self, connection: AsyncConnection, job: Job, state: StepState, *, reason: str | None = None
    ) -> None:
        now = to_milliseconds(self._clock.now())
        await attestations.mark(connection, job.project, job.topic, state)
        await steps.enter(connection, job.project, [job.topic], state.value, at=now, reason=reason)
        await steps.explain(connection, job.project, job.topic, StepState.SEALED.value, reason=None)

    async def _later(self, job: Job, reason: str) -> None:
        # Each look costs a written transaction and every receipt of the record; with a worker
        # that is away, a thousand waiting steps would be all that the index is busy with.
        pause = min(_AGAIN_MS << min(job.attempt - 1, 10), _AGAIN_MOST_MS)
        until = to_milliseconds(self._clock.now()) + pause
        async with self._database.writing() as connection:
            await queue.postpone(connection, job, until=until)
            await steps.explain(connection, job.project, job.topic, StepState.SEALED.value, reason=reason)
