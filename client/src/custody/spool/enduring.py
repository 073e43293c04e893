"""A service that may go away: what it cannot take any more goes into the spool instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from custody.bodies import Content
from custody.errors import RefusedError, ServiceError, UnreachableError
from custody.service import Service
from custody.spool.draft import Draft
from custody.transport import Transport
from custody.wire import Document

SPOOLED = "spooled"
"""The state of a step that waits here; no service knows it."""

_AWAY = (429, 502, 503, 504)


def away(error: ServiceError) -> bool:
    """Return whether `error` means that the service is not there, rather than that it says no."""
    return isinstance(error, UnreachableError) or (isinstance(error, RefusedError) and error.code in _AWAY)


class Absence:
    """Why the service of one step is gone, once it is; shared by all who talk to it."""

    def __init__(self) -> None:
        self.reason: ServiceError | None = None

    def noted(self, error: ServiceError) -> bool:
        """Return whether `error` says that the service is gone, and remember it."""
        if away(error):
            self.reason = self.reason or error
        return away(error)


class Enduring(Service):
    """As `Service` for one step, and never unreachable for what the step has to say.

    Once the service is gone it stays gone for this step: a build does not wait for it
    again and again, and the step is delivered whole.
    """

    def __init__(self, transport: Transport, draft: Draft, absence: Absence) -> None:
        super().__init__(transport)
        self._draft = draft
        self._absence = absence

    def twin(self) -> Enduring:
        """Return the same over a connection of its own, and with the same memory."""
        return Enduring(self.transport.twin(), self._draft, self._absence)

    def add_inputs(self, step_id: str, inputs: Sequence[Mapping[str, object]]) -> None:
        """Record what the step consumed, there or here."""
        self._draft.add_inputs(inputs)
        if self._absence.reason is None:
            try:
                super().add_inputs(step_id, inputs)
            except ServiceError as error:
                if not self._absence.noted(error):
                    raise

    def add_outputs(self, step_id: str, outputs: Sequence[Mapping[str, object]]) -> None:
        """Record outputs by reference, there or here."""
        if self._absence.reason is None:
            try:
                super().add_outputs(step_id, outputs)
            except ServiceError as error:
                if not self._absence.noted(error):
                    raise
        for one in outputs:
            self._draft.refer(one)

    def put_output(self, step_id: str, name: str, content: Content, sha256: str, **query: str) -> str:
        """Keep the bytes of an output, there or here; return their digest."""
        role, uri = query.get("role", "output"), query.get("uri")
        if self._absence.reason is None:
            try:
                stored = super().put_output(step_id, name, content, sha256, **query)
            except ServiceError as error:
                if not self._absence.noted(error):
                    raise
            else:
                more = {} if uri is None else {"uri": uri}
                reference = {**more, "name": name, "digest": {"sha256": sha256}}
                self._draft.refer(reference, role=role, size=content.size)
                return stored
        self._draft.keep(name, content, sha256, role=role, uri=uri)
        return f"sha256:{sha256}"

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return the digests whose bytes have to be kept: without a service, all."""
        if self._absence.reason is None:
            try:
                return super().missing(digests)
            except ServiceError as error:
                if not self._absence.noted(error):
                    raise
        return set(digests)

    def finish(self, step_id: str, ending: Mapping[str, object], *, wait: int) -> Document:
        """Finish the step there, or put it into the spool."""
        if self._absence.reason is None:
            try:
                return super().finish(step_id, ending, wait=wait)
            except ServiceError as error:
                if not self._absence.noted(error):
                    raise
        self._draft.commit(ending)
        return {"id": step_id, "state": SPOOLED}
