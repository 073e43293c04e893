"""Sealing: a finished step becomes a record that nothing can change.

The order of DESIGN section 6: the row decides first and keeps the bytes (`sealing`),
then the segment is durable, then the row says so (`sealed`) and the signer's queue knows.
A crash after any of these leaves a state that `resume` completes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, retold
from artifacts.aside import MANY, aside_if
from artifacts.batcher import Batcher
from artifacts.clock import Clock, from_milliseconds, to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import ConflictError, CustodyError, ForbiddenError, NotFoundError, StepFinishedError
from artifacts.limits import MAX_BATCH
from artifacts.outages import repeated
from artifacts.prompt_sqlite import patiently
from artifacts.queries import products, queue, sealing, steps
from artifacts.queries import whole as whole_queries
from artifacts.queries.products import Touched
from artifacts.queries.sealing import Decision, Line, Place
from artifacts.queries.steps import LedgerRow, StepRow
from artifacts.queries.whole import Taken
from artifacts.reads import StepPage
from artifacts.record_lines import line_of
from artifacts.seal import Seal
from artifacts.steps import StepState, check_joins
from artifacts.storage.protocol import ObjectStore
from artifacts.whole import WholeStep
from artifacts.wire import FinishBody

SIGN = "sign"
"""The queue of sealed steps to be signed; its topics are step ids."""


@dataclass(frozen=True, slots=True)
class Finish:
    """A request to finish a step that was begun through the API."""

    project: str
    step: str
    body: FinishBody
    principal: str | None = None
    """Who asks; None for the control plane itself, when a token has expired."""
    via: str = "step"


@dataclass(frozen=True, slots=True)
class Sealed:
    """The answer: the step is sealed; `new` is False where it was before.

    `page` shows a step that was sealed just now as its page would, so that nobody has to
    read back what was written a moment ago.
    """

    step: str
    new: bool
    page: StepPage | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the index holds of the steps of one batch, fetched together, by project and id."""

    rows: dict[tuple[str, str], StepRow] = field(default_factory=dict)
    touched: dict[tuple[str, str], Touched] = field(default_factory=dict)
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    """Who began the runs that have the id of a step nobody knows."""

    @property
    def many(self) -> bool:
        """Whether it takes long to write it all down."""
        return sum(len(one.inputs) + len(one.outputs) for one in self.touched.values()) > MANY


class Sealer:
    """Seals finished steps in groups; safe to repeat, safe to race.

    Two groups in a row: one decides, the other makes what was decided durable. While the
    object of one segment is on its way to the store, the next steps are decided.
    """

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, seal: Seal | None = None
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._seal = seal
        self._decisions: Batcher[Finish | WholeStep, _Decided] = Batcher(self._decide, limit=MAX_BATCH)
        self._segments: Batcher[Line, int] = Batcher(self._publish, limit=MAX_BATCH)

    @property
    def batchers(self) -> dict[str, Batcher[Any, Any]]:  # Any: each batches something else
        """What is grouped here, by name, for whoever counts."""
        return {"decisions": self._decisions, "segments": self._segments}

    async def seal(self, request: Finish | WholeStep) -> Sealed:
        """Seal one step and return when its record is durable.

        Raises:
            StepFinishedError: it was finished before, and otherwise than now.
            ConflictError: a whole step's id is known with other content.
        """
        decided = await self._decisions.submit(request)
        if decided.line is None:
            return Sealed(request.step, new=False)
        sealed_at = await self._segments.submit(decided.line)
        page = None if decided.row is None else _page(decided.row, sealed_at)
        return Sealed(request.step, new=page is not None, page=page)

    async def resume(self, *, before: int) -> int:
        """Complete what a crash left `sealing`; return how many records were."""
        async with self._database.reading() as connection:
            lines = await sealing.left_sealing(connection, before=before, limit=MAX_BATCH)
        await self._publish(lines)
        return len(lines)

    @repeated
    async def _decide(self, requests: Sequence[Finish | WholeStep]) -> list[_Decided | Exception]:
        many = sum(len(request) for request in requests if isinstance(request, WholeStep)) > MANY
        async with self._database.writing() as connection:
            known = await _known(connection, requests)
            batch = _Batch(known, self._clock.now(), await _undurable(connection, known))
            answers = await aside_if(many or known.many, batch.answers, requests)
            at = to_milliseconds(batch.at)
            await whole_queries.record(connection, batch.taken, runs=known.runs, at=at)
            await sealing.decide(connection, batch.decisions)
            for project, group in _by_project(batch.decided()):
                with patiently(many or known.many):
                    await sealing.link(connection, project, [line.step for line in group])
        return answers

    async def _publish(self, lines: Sequence[Line]) -> list[int | Exception]:
        """Make the records durable and note it; return when that was."""
        sealed_at: dict[str, int] = {}
        for project, group in _by_project({(line.project, line.step): line for line in lines}.values()):
            sealed_at[project] = await self._publish_segment(project, group)
        return [sealed_at[line.project] for line in lines]

    async def _publish_segment(self, project: str, lines: Sequence[Line]) -> int:
        content = b"".join(line.line + b"\n" for line in lines)
        at = from_milliseconds(lines[0].finished_at)
        key = layout.segment(project, lines[0].step, Digest.of(content), at)
        if self._seal is not None:
            key = self._seal.put_on(key)
        await self._store.put(key, content)
        places: list[tuple[str, Place]] = []
        start = 0
        for line in lines:
            places.append((line.step, Place(key, start, len(line.line), Digest.of(line.line))))
            start += len(line.line) + 1
        return await self._note(project, places)

    @repeated
    async def _note(self, project: str, places: Sequence[tuple[str, Place]]) -> int:
        now = to_milliseconds(self._clock.now())
        ids = [step for step, _ in places]
        async with self._database.writing() as connection:
            await sealing.sealed(connection, project, places)
            await steps.enter(connection, project, ids, StepState.SEALED.value, at=now)
            await queue.enqueue(connection, [(project, SIGN, id_) for id_ in ids], available_at=now)
        return now


@dataclass(frozen=True, slots=True)
class _Decided:
    """What one request came to: the record to be made durable, and the step if it is new."""

    line: Line | None
    row: StepRow | None


class _Batch:
    """What is decided for the requests of one commit, one after the other."""

    def __init__(self, known: _Known, at: datetime, undurable: Sequence[Line]) -> None:
        self.known = known
        self.at = at
        self.taken: list[tuple[Taken, Decision]] = []
        self.decisions: list[Decision] = []
        """For steps that were begun before."""
        # What an earlier attempt decided and could not publish: whoever asks again is answered
        # only once that is durable too.
        self._lines = {(line.project, line.step): line for line in undurable}

    def answers(self, requests: Sequence[Finish | WholeStep]) -> list[_Decided | Exception]:
        """Decide for all of them, in their order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Finish | WholeStep) -> _Decided | Exception:
        """Decide for one request; what refuses it is its answer."""
        place = (request.project, request.step)
        try:
            new = self._decide(request)
        except CustodyError as error:
            return error
        return _Decided(self._lines.get(place), self.known.rows[place] if new else None)

    def _decide(self, request: Finish | WholeStep) -> bool:
        row = self.known.rows.get((request.project, request.step))
        if row is not None:
            return self._finish(request, row)
        if not isinstance(request, WholeStep):
            raise NotFoundError("there is no such step", step=request.step)
        began = self.known.runs.get((request.project, request.step))
        if request.run is None and began is not None:
            check_joins(request.principal, request.step, begun_by=began)
        taken = Taken.of(request, at=to_milliseconds(self.at))
        self.taken.append((taken, self._close(request, taken.row, taken.touched())))
        return True

    def _finish(self, request: Finish | WholeStep, row: StepRow) -> bool:
        if isinstance(request, WholeStep) and row.begun != request.begun and not retold.whole(request, row):
            raise ConflictError("a step of that id is recorded with other content", step=request.step)
        if request.principal is not None and row.principal != request.principal:
            raise ForbiddenError("that step was begun by somebody else", step=request.step)
        if row.state == StepState.OPEN:
            touched = self.known.touched[request.project, request.step]
            self.decisions.append(self._close(request, row, touched))
            return True
        if row.finished != request.body.written() and not retold.finish(
            request, row, self.known.touched.get((request.project, request.step))
        ):
            raise StepFinishedError(
                "the step was finished before, otherwise", step=row.id, outcome=row.outcome
            )
        return False

    def _close(self, request: Finish | WholeStep, row: StepRow, touched: Touched) -> Decision:
        line = line_of(row, touched, request.body, via=request.via, at=self.at)
        decision = Decision.of(line, request.body.outcome.value, request.body.written())
        # Whoever of the same batch finishes the step again finds it closed, and waits for its record.
        self._lines[request.project, request.step] = line
        self.known.rows[request.project, request.step] = replace(
            row,
            state=StepState.SEALING.value,
            outcome=decision.outcome,
            finished=decision.finished,
            finished_at=line.finished_at,
            record_digest=decision.digest,
        )
        return decision

    def decided(self) -> list[Line]:
        """The records that were decided for."""
        return [one.line for one in (*(decision for _, decision in self.taken), *self.decisions)]


def _page(row: StepRow, sealed_at: int) -> StepPage:
    opened = LedgerRow(StepState.OPEN.value, row.began_at, None)
    sealed = LedgerRow(StepState.SEALED.value, sealed_at, None)
    return StepPage(replace(row, state=StepState.SEALED.value), (), (opened, sealed))


async def _known(connection: AsyncConnection, requests: Sequence[Finish | WholeStep]) -> _Known:
    known = _Known()
    for project in sorted({request.project for request in requests}):
        ids = sorted({request.step for request in requests if request.project == project})
        rows = await steps.find_steps(connection, project, ids)
        asked = [
            id_
            for id_, row in rows.items()
            if row.state == StepState.OPEN or retold.to_be_compared(row, requests)
        ]
        touched = await products.touched_by(connection, project, asked)
        runs = await steps.who_began(connection, project, [id_ for id_ in ids if id_ not in rows])
        known.runs.update(((project, id_), who) for id_, who in runs.items())
        known.rows.update(((project, id_), row) for id_, row in rows.items())
        known.touched.update(((project, id_), what) for id_, what in touched.items())
    return known


async def _undurable(connection: AsyncConnection, known: _Known) -> list[Line]:
    """The records of steps that are decided and not yet known to be durable."""
    left = [place for place, row in known.rows.items() if row.state == StepState.SEALING]
    lines: list[Line] = []
    for project, group in groupby(sorted(left), key=itemgetter(0)):
        lines += await sealing.still_sealing(connection, project, [step for _, step in group])
    return lines


def _by_project(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    ordered = sorted(lines, key=lambda line: (line.project, line.step))
    return [(project, list(group)) for project, group in groupby(ordered, key=lambda line: line.project)]
