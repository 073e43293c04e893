"""The order of a reindex; each part may be done again, so one that was killed is simply begun again.

1. Which keys are trusted; what was removed and what is held, before anything that they forbid;
   and what there is: one walk over all names.
2. Journal files, and blobs by their receipts: tokens, runs, names, bytes.
3. Every bundle, before any record.
4. Records that are signed; then those that are only sealed, which must contradict none of them.
5. Links between steps, once all steps are there.
6. Trees, whose bytes are all read again.
7. What is left: names of runs, statements without a record. A grace period begins for all bytes.
8. The log, once all that may be a leaf is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from artifacts import named_keys
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import HASH
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.layout import attestation
from artifacts.limits import MAX_BATCH, MAX_RECORD_BYTES
from artifacts.named_keys import Named
from artifacts.queries import queue, reindexed_facts, reindexing, relinking, unfiled, uses
from artifacts.queries.reindexed_facts import ReceiptFact, RunFact
from artifacts.queries.reindexing import Filed
from artifacts.receipts import WORKER
from artifacts.seal import Seal
from artifacts.sealing import SIGN
from artifacts.storage.protocol import Listed, ObjectStore
from provenance.keys import PublicKey
from provenance.log.notes import NoteKey
from provenance.reindex import journal, statements
from provenance.reindex.control import NOTHING_BARRED, PURGED, Barred, file_control
from provenance.reindex.journal import Facts, Issued
from provenance.reindex.log import LogFiler
from provenance.reindex.reading import abreast, chunked, each, lying
from provenance.reindex.receipts import receipted
from provenance.reindex.records import Judge, Segment, by_project, consistent
from provenance.reindex.report import Report, Told
from provenance.reindex.statements import Evidence
from provenance.reindex.survey import Survey, read_refusals, survey
from provenance.reindex.trees import TreeFiler
from provenance.reindex.trust import trusted
from provenance.reindex.unhurried import unhurried

_SEGMENTS_AT_ONCE = 8
_MAX_SEGMENT = MAX_BATCH * (MAX_RECORD_BYTES + 1)


@dataclass(frozen=True, slots=True)
class Believing:
    """What the operator brings: keys, the seal, and whether files without one count."""

    keys: frozenset[PublicKey]
    own_builder: str
    seal: Seal | None
    unsealed: bool = False
    log_key: NoteKey | None = None
    """The key of the log; without one it is not filed."""


@dataclass(slots=True)
class Reindexer:
    """Fills the index of `database` from `store`; nobody else works with either meanwhile."""

    database: Database
    store: ObjectStore
    clock: Clock
    believing: Believing
    told: Told = lambda _what, _done: None
    resume: bool = False
    """Leave out segments and statements that the index has already."""
    at_once: int = 500
    """Records, blobs and links of one transaction."""
    report: Report = field(default_factory=Report)
    _later_runs: list[RunFact] = field(default_factory=list)
    _issued: Issued = field(default_factory=Issued)
    _barred: Barred = NOTHING_BARRED

    async def run(self) -> Report:
        """Do all of it, and return what was found."""
        with unhurried():
            return await self._run()

    async def _run(self) -> Report:
        async with self.database.writing() as connection:
            await reindexing.begin_filing(connection, now=self._now)
        trust = await trusted(  # 1
            self.store, self.believing.keys, own_builder=self.believing.own_builder, report=self.report
        )
        self._barred = await file_control(self.database, self.store, trust.keys, self.report, self.told)
        found = await survey(self.store, self.report, self.told)
        await self._facts(found)  # 2
        for project in sorted(found.projects):
            await self._receipts(project)
        evidence = await statements.read_statements(  # 3
            self.store, trust, self.report, self.told, known=await self._known_statements()
        )
        refusals = await read_refusals(self.store, found, self.report)
        await self._records(Judge(evidence, refusals), found)  # 4
        async with self.database.writing() as connection:
            await relinking.count_again(connection)
        for project in sorted(found.projects):
            await self._link(project)  # 5
        await self._trees(found)  # 6
        await self._end(found, evidence)  # 7
        filer = LogFiler(self.database, self.store, self.clock, frozenset(trust.keys), self.report, self.told)
        await filer.file(self.believing.log_key)  # 8
        async with self.database.writing() as connection:
            await uses.name_everything(connection, at=self._now)
            await reindexing.end_filing(connection)
        return self.report

    @property
    def _now(self) -> int:
        return to_milliseconds(self.clock.now())

    def _sealed(self, named: Named) -> bool:
        """Whether the name of a file of lines is this service's own."""
        seal = self.believing.seal
        return self.believing.unsealed or (seal is not None and seal.is_on(named.key))

    async def _known_statements(self) -> set[bytes]:
        if not self.resume:
            return set()
        async with self.database.reading() as connection:
            return await reindexed_facts.all_statements(connection)

    # 2: the journal, and receipts

    async def _facts(self, found: Survey) -> None:
        async for facts in abreast(chunked(each(found.journal), weigh=_size), self._read_facts):
            self._later_runs += await journal.file_facts(self.database, facts, now=self._now)
            for one in facts:
                self._issued.add(one)
            self.report.counts["tokens"] += sum(len(one.tokens) for one in facts)
            self.report.counts["runs"] += sum(len(one.runs) for one in facts)
            self.report.counts["references"] += sum(len(one.references) for one in facts)
            self.told("references", self.report.counts["references"])
        self.report.counts["revocations"] += len(self._issued.revoked)
        await self._issued.file(self.database)

    async def _read_facts(self, chunk: Sequence[tuple[Named, Listed]]) -> list[Facts]:
        sealed = [(named, listed) for named, listed in chunk if self._sealed(named)]
        for named, _ in chunk:
            if not self._sealed(named):
                self.report.doubt(named.key, "no seal of ours is on the journal file")
        names = {named.key: named for named, _ in sealed}
        facts = []
        for one in await lying(self.store, [listed for _, listed in sealed], self.report):
            try:
                facts.append(journal.facts_of(names[one.key], one.content))
            except InvalidInputError as error:
                self.report.doubt(one.key, error.message)
        return facts

    async def _receipts(self, project: str) -> None:
        async def read(chunk: Sequence[Listed]) -> list[ReceiptFact]:
            return await receipted(self.store, chunk, self.report, self._barred)

        listed = self.store.list(f"projects/{project}/receipts/")
        async for facts in abreast(chunked(listed), read):
            async with self.database.writing() as connection:
                await reindexing.add_projects(connection, {project}, at=self._now)
                await reindexed_facts.add_receipts(connection, facts, now=self._now)
            self.report.counts["receipts filed"] += len(facts)
            self.told("receipts", self.report.counts["receipts filed"])
        async for chunk in chunked(self.store.list(f"projects/{project}/blobs/"), size=self.at_once):
            await self._blobs(project, chunk)

    async def _blobs(self, project: str, chunk: Sequence[Listed]) -> None:
        """Bytes without a receipt are served to nobody; those without a worker's are to be read back."""
        named = [one for listed in chunk if (one := named_keys.named(listed.key)) is not None]
        for one in named:
            if self._barred.blob(project, one.digest.raw):
                self.report.doubt(one.key, PURGED)
        digests = [one.digest.raw for one in named if not self._barred.blob(project, one.digest.raw)]
        async with self.database.writing() as connection:
            unread = await reindexed_facts.without_receipt(connection, project, digests, kind=WORKER)
            nowhere = set(await reindexed_facts.without_receipt(connection, project, unread))
            jobs = [(project, HASH, raw.hex()) for raw in unread if raw not in nowhere]
            await queue.enqueue(connection, jobs, available_at=self._now)
        for raw in nowhere:
            name = f"{project}/{Digest.sha256(raw)}"
            self.report.note(self.report.unreceipted, "blobs without a receipt", name)

    # 4: records

    async def _records(self, judge: Judge, found: Survey) -> None:
        unsigned: list[Filed] = []
        signed: list[Filed] = []
        wanted = await self._unknown(found, judge.evidence)

        async def read(chunk: Sequence[tuple[Named, Listed]]) -> list[Segment]:
            names = {named.key: named for named, _ in chunk}
            read = await lying(self.store, [listed for _, listed in chunk], self.report, most=_MAX_SEGMENT)
            return [
                await judge.segment(names[one.key], one, sealed=self._sealed(names[one.key])) for one in read
            ]

        async for segments in abreast(chunked(each(wanted), size=_SEGMENTS_AT_ONCE, weigh=_size), read):
            for segment in segments:
                signed += segment.signed
                unsigned += segment.unsigned
                for doubted in segment.doubted:
                    self.report.doubt(doubted.key, doubted.reason)
            if len(signed) >= self.at_once:
                await self._file(signed, judge.evidence)
                signed = []
        await self._file(signed, judge.evidence)
        for start in range(0, len(unsigned), self.at_once):
            await self._file(unsigned[start : start + self.at_once], judge.evidence)

    async def _unknown(self, found: Survey, evidence: Evidence) -> list[tuple[Named, Listed]]:
        """All segments; to resume, those that gave nothing yet or whose records have new statements."""
        if not self.resume:
            return found.segments
        steps = {seen.step for each in evidence.by_record.values() for seen in each}
        known: set[str] = set()
        async with self.database.reading() as connection:
            for project in found.projects:
                known |= await reindexed_facts.known_segments(connection, project)
            known -= await reindexed_facts.segments_of(connection, steps)
        return [(named, listed) for named, listed in found.segments if str(named.key) not in known]

    async def _file(self, records: Sequence[Filed], evidence: Evidence) -> None:
        """Write records of which no two contradict each other, nor what stands already."""
        async with self.database.writing() as connection:
            standing = {
                project: await reindexed_facts.standing_records(connection, project, ids)
                for project, ids in by_project(records).items()
            }
            good = [one for one in consistent(records, self.report) if self._may_stand(one, standing)]
            left_out = await reindexing.file_records(connection, good, sign=SIGN, now=self._now)
        for stated in left_out:
            key = attestation(Digest.sha256(stated.digest))
            self.report.doubt(key, "another statement of that step and builder stands")
        for one in good:
            self._count(one)
            evidence.filed.add(one.place.digest.raw)
        self.told("records", self.report.counts["records"])

    def _may_stand(self, one: Filed, standing: dict[str, dict[str, tuple[bytes, bool]]]) -> bool:
        digest, signed = standing[one.members["project"]].get(one.members["step"], (None, False))
        if digest is None or digest == one.place.digest.raw or (one.statements and not signed):
            return True
        self.report.doubt(f"{one.place.segment}#{one.place.start}", "another record of its step stands")
        return False

    def _count(self, one: Filed) -> None:
        self.report.counts["records"] += 1
        name = f"{one.members['project']}/{one.members['step']}"
        if one.statements:
            self.report.counts["records signed"] += 1
        elif one.ended_at is not None:
            self.report.counts["records refused"] += 1
        elif one.reason is not None:
            self.report.note(self.report.held, "records held", name)
        else:
            self.report.note(self.report.unsigned, "records unsigned", name)

    # 5, 6, 7

    async def _link(self, project: str) -> None:
        after, linked = "", 0
        while True:
            async with self.database.writing() as connection:
                some = await relinking.steps_after(connection, project, after, limit=self.at_once)
                await relinking.link_again(connection, project, some)
            linked += len(some)
            self.told("links", linked)
            if len(some) < self.at_once:
                return
            after = some[-1]

    async def _trees(self, found: Survey) -> None:
        filer = TreeFiler(self.database, self.store, self.report, self._barred)
        for number, tree in enumerate(found.trees, start=1):
            await filer.file(tree)
            self.told("trees", number)

    async def _end(self, found: Survey, evidence: Evidence) -> None:
        async with self.database.writing() as connection:
            for fact in self._later_runs:
                await reindexed_facts.give_name(connection, fact)
        for record, seen in evidence.by_record.items():
            if record not in evidence.filed:
                name = str(Digest.sha256(seen[0].stated.digest))
                self.report.note(self.report.without_record, "statements without a record", name)
        await self._keep_unfiled(found, evidence)
        self.report.counts["projects"] = len(found.projects)
        async for _ in self.store.list("staging/"):
            self.report.counts["uploads forgotten"] += 1

    async def _keep_unfiled(self, found: Survey, evidence: Evidence) -> None:
        """Remember what gave no row: else the signer would take the index for an older one for ever."""
        steps: dict[str, dict[str, str]] = {}
        for named, _ in found.segments:
            steps.setdefault(named.project, {})[str(named.key)] = named.detail
        async with self.database.writing() as connection:
            segments: set[str] = set()
            for project, first in steps.items():
                known = await reindexed_facts.known_steps(connection, project, set(first.values()))
                segments.update(key for key, step in first.items() if step not in known)
            statements = {seen.about for seen in evidence.unfiled()}
            await unfiled.keep(connection, segments=segments, statements=statements)


def _size(one: tuple[Named, Listed]) -> int:
    return one[1].size
