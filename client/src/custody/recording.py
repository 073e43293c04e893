"""One step, from begin to finish: what `custody run` and `custody.step` have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from custody import __version__
from custody.bodies import Content
from custody.errors import ContentError, PolicyError, ServiceError, UnreachableError
from custody.ids import new_step_token, new_ulid
from custody.keeping import TOO_LONG, Keeping, Sent
from custody.output_names import MAX_NAME
from custody.products import KEPT, Kept, Produced
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
        keeping = Keeping(self.step_id, self._project, self._own, lambda: self.absence is not None)
        return keeping.keep(produced, sent)

    def keep_tree(self, name: str, taken: Captured) -> Kept:
        """Upload a directory and record it as an output, or keep a copy of it where the service is away.

        Raises:
            ClientError: It could neither be sent nor kept.
        """
        from custody.trees.keeping import send
        from custody.trees.manifest import MEDIA_TYPE

        if len(name) > MAX_NAME:
            raise ContentError(f"{name[:80]}…: {TOO_LONG}")
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

    def _how(self) -> str:
        return "stored" if self.absence is None else KEPT


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
