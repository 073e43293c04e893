"""The outputs of a step on their way into its record: several at once, each failure by itself.

1. Ask which contents the service lacks.
2. Upload each of these once, over several connections where there are many.
3. Record the other outputs by reference: their bytes are stored by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from custody.contents import HashedFile, hashed
from custody.errors import ContentError, RefusedError
from custody.output_names import MAX_NAME
from custody.products import KEPT, Kept, Produced, refused
from custody.service import Service
from custody.team import CONNECTIONS, Team

TOO_LONG = f"its name is longer than the {MAX_NAME} characters that a record takes"
_MISMATCH = "digest-mismatch"
_FINISHED = "step-finished"
_ABOUT_THIS_FILE = (409, 413, 415, 422)
_WORTH_A_CONNECTION = 4
"""Contents for each connection: for fewer of them, opening one takes longer than waiting."""

Sent = Callable[[int], None]
Alike = Mapping[int, Produced]
"""Outputs with one content, by their positions."""


class Keeping:
    """Keeps outputs of one step."""

    def __init__(self, step_id: str, project: Service, own: Service, away: Callable[[], bool]) -> None:
        """Prepare; nothing is asked yet.

        Args:
            step_id: The open step.
            project: Asks what is missing.
            own: Speaks for the step.
            away: Whether the service is gone, so that what is kept is kept here.
        """
        self._step_id = step_id
        self._project = project
        self._own = own
        self._away = away

    def keep(self, produced: Sequence[Produced], sent: Sent | None) -> list[Kept]:
        """Keep them, and return what became of each, in the same order.

        Raises:
            ServiceError: The service is away, or refuses the step rather than a file of it.
        """
        note = sent or _unheard
        missing = self._project.missing(list(dict.fromkeys(one.file.digest for one in produced)))
        found = {at: refused(one, TOO_LONG) for at, one in enumerate(produced) if len(one.name) > MAX_NAME}
        jobs = _alike({at: one for at, one in enumerate(produced) if at not in found}, missing)
        for kept in self._uploaded(jobs):
            found.update(kept)
            for at in kept:
                note(produced[at].file.size)
        rest = {at: one for at, one in enumerate(produced) if at not in found}
        found.update(zip(rest, self._refer(list(rest.values())), strict=True))
        for one in rest.values():
            note(one.file.size)
        return [found[at] for at in range(len(produced))]

    def _uploaded(self, jobs: Sequence[Alike]) -> Iterator[Mapping[int, Kept]]:
        connections = min(CONNECTIONS, len(jobs) // _WORTH_A_CONNECTION)
        if connections < 2 or self._away():
            yield from (self._upload_one_of(self._own, job) for job in jobs)
            return
        team = Team([self._own.twin() for _ in range(connections)], self._upload_one_of)
        with closing(team.results(jobs)) as results:
            yield from results

    def _upload_one_of(self, own: Service, alike: Alike) -> Mapping[int, Kept]:
        """Upload a content under one of its names: under the others it needs no second upload."""
        found: dict[int, Kept] = {}
        for at, one in alike.items():
            found[at] = kept = self._upload(own, one)
            if kept.stored and kept.digest == one.file.digest:
                break
        return found

    def _upload(self, own: Service, one: Produced) -> Kept:
        """Upload one output; hash it again, once, if it is no longer what was hashed."""
        try:
            try:
                return self._send(own, one.name, one.file)
            except (RefusedError, ContentError) as error:
                if isinstance(error, RefusedError) and error.slug != _MISMATCH:
                    raise
                return self._send(own, one.name, hashed(one.file.path))
        except (RefusedError, ContentError) as error:
            if isinstance(error, RefusedError) and not _about_files(error):
                raise
            changing = isinstance(error, RefusedError) and error.slug == _MISMATCH
            return refused(one, "keeps changing while it is uploaded" if changing else error.message)

    def _send(self, own: Service, name: str, file: HashedFile) -> Kept:
        stored = own.put_output(self._step_id, name, file.content(), file.sha256)
        # The service has what was hashed; that the file went on changing is worth a line.
        trouble = "changed while it was uploaded; stored is what it was before" if file.changed() else None
        return Kept(name, stored, file.size, KEPT if self._away() else "stored", trouble)

    def _refer(self, produced: Sequence[Produced]) -> list[Kept]:
        """Record outputs whose bytes are stored; those that are refused do not take the others with them."""
        references = [{"name": one.name, "digest": {"sha256": one.file.sha256}} for one in produced]
        try:
            if references:
                self._own.add_outputs(self._step_id, references)
        except RefusedError as error:
            if not _about_files(error):
                raise
            if len(produced) == 1:
                return [refused(produced[0], error.message)]
            middle = len(produced) // 2
            return [*self._refer(produced[:middle]), *self._refer(produced[middle:])]
        return [Kept(one.name, one.file.digest, one.file.size, "already stored") for one in produced]


def _alike(produced: Mapping[int, Produced], missing: set[str]) -> list[Alike]:
    """Return those whose content is missing, together with all that have the same."""
    found: dict[str, dict[int, Produced]] = {}
    for at, one in produced.items():
        if one.file.digest in missing:
            found.setdefault(one.file.digest, {})[at] = one
    return list(found.values())


def _about_files(error: RefusedError) -> bool:
    """Whether a refusal is about what was sent, and not about the step or the token."""
    return error.code in _ABOUT_THIS_FILE and error.slug != _FINISHED


def _unheard(_: int) -> None:
    """Nobody watches."""
