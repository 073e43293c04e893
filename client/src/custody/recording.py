"""One step, from begin to finish: what `custody run` and `custody.step` have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from custody import __version__
from custody.bodies import Content
from custody.contents import HashedFile, hashed
from custody.errors import ContentError, PolicyError, RefusedError, ServiceError, UnreachableError
from custody.ids import new_step_token, new_ulid
from custody.output_names import MAX_NAME
from custody.service import Service
from custody.spool.draft import Draft
from custody.spool.enduring import SPOOLED, Absence, Enduring
from custody.spool.location import Spool
from custody.transport import STEADY, Transport
from custody.wire import Document, listed, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.trees.capture import Captured

WAIT = 10
"""Seconds to wait for the signature."""

LONGEST_STEP = 86_400
"""Seconds after which the service gives up on a step: as many as it allows, training takes long."""

NOT_STORED = "not stored"
KEPT = "kept here"
_MISMATCH = "digest-mismatch"
_FINISHED = "step-finished"
_TOO_LONG = f"its name is longer than the {MAX_NAME} characters that a record takes"
_ABOUT_THIS_FILE = (409, 413, 415, 422)

Sent = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Produced:
    """A file that a step made, under the name it has in the record."""

    name: str
    file: HashedFile


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an output: the digest the service has, and what was wrong with it."""

    name: str
    digest: str
    size: int
    how: str
    trouble: str | None = None

    @property
    def stored(self) -> bool:
        """Whether it is in the record."""
        return self.how != NOT_STORED


@dataclass(frozen=True, slots=True)
class Endurance:
    """What a step needs to outlive its service."""

    draft: Draft
    absence: Absence


class Recording:
    """A begun step. Everything after begin is done with the step's own token."""

    def __init__(
        self, project: Service, step_id: str, token: str, page: Document, endurance: Endurance | None = None
    ) -> None:
        # Once begun, what would be lost is worth waiting for a service that restarts.
        project.transport.patience = STEADY
        self.step_id = step_id
        self.token = token
        self.page = page
        self._endurance = endurance
        own = Transport(project.shown, token, patience=STEADY)
        if endurance is None:
            self._project, self._own = project, Service(own)
        else:
            draft, absence = endurance.draft, endurance.absence
            self._project = Enduring(project.transport, draft, absence)
            self._own = Enduring(own, draft, absence)

    @property
    def absence(self) -> ServiceError | None:
        """Why the service is gone, or None while it is there."""
        return None if self._endurance is None else self._endurance.absence.reason

    @property
    def spooled(self) -> bool:
        """Whether the step waits on this machine to be delivered."""
        return text(self.page, "state") == SPOOLED

    @property
    def project(self) -> str:
        """The project that the step belongs to, as the service says."""
        return text(self.page, "project")

    @property
    def address(self) -> str:
        """Where the service is, as one writes it."""
        return self._project.shown

    def add_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """Record what the step consumed."""
        if inputs:
            self._own.add_inputs(self.step_id, inputs)

    def keep(self, produced: Sequence[Produced], *, sent: Sent | None = None) -> list[Kept]:
        """Record outputs; upload the content that the service does not have.

        Args:
            produced: The files.
            sent: Told the number of bytes of each output that is done.

        Returns:
            What became of each, in the same order.
        """
        missing = self._project.missing(list(dict.fromkeys(one.file.digest for one in produced)))
        found: dict[int, Kept] = {}
        by_reference: dict[int, Produced] = {}
        for position, one in enumerate(produced):
            if len(one.name) > MAX_NAME:
                found[position] = _refused(one, _TOO_LONG)
            elif one.file.digest in missing:
                found[position] = kept = self._upload(one)
                # The same content under another name needs no second upload.
                missing.discard(kept.digest)
            else:
                by_reference[position] = one
            if sent is not None:
                sent(one.file.size)
        found.update(zip(by_reference, self._refer(list(by_reference.values())), strict=True))
        return [found[position] for position in range(len(produced))]

    def keep_tree(self, name: str, taken: Captured) -> Kept:
        """Upload a directory and record it as an output, or keep a copy of it where the service is away.

        Raises:
            ClientError: It could neither be sent nor kept.
        """
        from custody.trees.keeping import send
        from custody.trees.manifest import MEDIA_TYPE

        if len(name) > MAX_NAME:
            raise ContentError(f"{name[:80]}…: {_TOO_LONG}")
        reference = {"name": name, "digest": {"sha256": taken.manifest.sha256}, "mediaType": MEDIA_TYPE}
        how = KEPT
        if self.absence is None:
            try:
                how = "stored" if send(self._project.transport, taken).size else "already stored"
            except ServiceError as error:
                if not self.outlives(error):
                    raise
        if self._endurance is not None and self.absence is not None:
            self._endurance.draft.keep_tree(name, taken, reference)
        else:
            self._own.add_outputs(self.step_id, [reference])
        return Kept(name, taken.manifest.digest, taken.manifest.size, KEPT if self.absence else how)

    def outlives(self, error: ServiceError) -> bool:
        """Return whether `error` means that the service is away and the step goes on without it."""
        return self._endurance is not None and self._endurance.absence.noted(error)

    def give_up_waiting(self) -> bool:
        """Treat the service as away from now on; return whether that changes anything."""
        if self._endurance is None or self.absence is not None:
            return False
        return self._endurance.absence.noted(
            UnreachableError("interrupted", hint="custody flush delivers it")
        )

    def keep_bytes(self, name: str, content: Content, sha256: str) -> Kept:
        """Upload a byproduct: a log, a list."""
        stored = self._own.put_output(self.step_id, name, content, sha256, role="byproduct")
        return Kept(name, stored, content.size, self._how())

    def finish(self, ending: Mapping[str, object]) -> Document:
        """Finish the step and wait a little for its signature."""
        self.page = self._own.finish(self.step_id, ending, wait=WAIT)
        return self.page

    def refusal(self) -> PolicyError | None:
        """Return why the service will never sign the step, or None."""
        if text(self.page, "state") != "refused":
            return None
        reasons = [text(entry, "reason") for entry in listed(self.page, "ledger") if text(entry, "reason")]
        return PolicyError(reasons[-1] if reasons else "the service refused the step")

    def close(self) -> None:
        """Drop the connection, and what of the step did not reach the spool whole."""
        self._own.transport.close()
        if self._endurance is not None:
            self._endurance.draft.close()

    def _refer(self, produced: Sequence[Produced]) -> list[Kept]:
        """Record outputs whose bytes are stored; those that are refused do not take the others with them."""
        references = [{"name": one.name, "digest": {"sha256": one.file.sha256}} for one in produced]
        try:
            if references:
                self._own.add_outputs(self.step_id, references)
        except RefusedError as error:
            if not _about_files(error):
                raise
            if len(produced) == 1:
                return [_refused(produced[0], error.message)]
            middle = len(produced) // 2
            return [*self._refer(produced[:middle]), *self._refer(produced[middle:])]
        return [Kept(one.name, one.file.digest, one.file.size, "already stored") for one in produced]

    def _upload(self, one: Produced) -> Kept:
        """Upload one output; hash it again, once, if it is no longer what was hashed."""
        try:
            try:
                return self._send(one.name, one.file)
            except (RefusedError, ContentError) as error:
                if isinstance(error, RefusedError) and error.slug != _MISMATCH:
                    raise
                return self._send(one.name, hashed(one.file.path))
        except (RefusedError, ContentError) as error:
            if isinstance(error, RefusedError) and not _about_files(error):
                raise
            changing = isinstance(error, RefusedError) and error.slug == _MISMATCH
            return _refused(one, "keeps changing while it is uploaded" if changing else error.message)

    def _send(self, name: str, file: HashedFile) -> Kept:
        stored = self._own.put_output(self.step_id, name, file.content(), file.sha256)
        # The service has what was hashed; that the file went on changing is worth a line.
        trouble = "changed while it was uploaded; stored is what it was before" if file.changed() else None
        return Kept(name, stored, file.size, self._how(), trouble)

    def _how(self) -> str:
        return "stored" if self.absence is None else KEPT


def _about_files(error: RefusedError) -> bool:
    """Whether a refusal is about what was sent, and not about the step or the token."""
    return error.code in _ABOUT_THIS_FILE and error.slug != _FINISHED


def _refused(one: Produced, why: str) -> Kept:
    return Kept(one.name, one.file.digest, one.file.size, NOT_STORED, why)


def begin(
    project: Service,
    facts: Mapping[str, object],
    *,
    run: Mapping[str, str] | None,
    spool: Spool | None = None,
) -> Recording:
    """Begin a step that is described by `facts`.

    Id and token are chosen here and the service learns only the hash of the token, so a
    repeated request finds the same step and nobody who reads the database can write to it.

    Args:
        project: The service.
        facts: The members of begin.
        run: What finds the run it belongs to, or None for a run of its own.
        spool: Where the step goes if the service is away now or later.

    Raises:
        ServiceError: The service did not take it, or is away and there is no spool.
    """
    step_id, token = new_ulid(), new_step_token()
    body: dict[str, object] = {
        **facts,
        "id": step_id,
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
        "client": f"custody/{__version__}",
        "expires_in": LONGEST_STEP,
    }
    endurance = None if spool is None else Endurance(Draft(spool, project.shown, body, run), Absence())
    try:
        if run is not None:
            body["run"] = project.run_named(run)
            if endurance is not None:
                endurance.draft.found_run(str(body["run"]))
        page = project.begin(body)
    except ServiceError as error:
        if endurance is None or not endurance.absence.noted(error):
            raise
        page = {"id": step_id}
    return Recording(project, step_id, token, page, endurance)
