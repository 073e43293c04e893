"""Emptying the spool: one step after the other, in the order in which they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from custody import clock, exits
from custody.errors import ClientError, RefusedError, ServiceError
from custody.progress import bar
from custody.service import Service
from custody.spool.delivery import Delivered, Sent, deliver
from custody.spool.durable import move, remove, write_file
from custody.spool.enduring import away
from custody.spool.entry import Entry, read_entry
from custody.spool.location import Spool
from custody.wire import encode

_ABOUT_US = (401, 403, 421)
"""Refusals of the token or the address: another one may be right, so nothing is put aside."""

_LATER = ("quota-exceeded",)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one step: delivered, refused, left, or still waiting."""

    id: str
    became: str
    entry: Entry | None = None
    delivered: Delivered | None = None
    error: ClientError | None = None


class Flush:
    """One pass over the spool. Only for the holder of the lock `flushing`."""

    def __init__(self, spool: Spool, service: Service, *, keep_going: bool) -> None:
        self._spool = spool
        self._service = service
        self._keep_going = keep_going
        self.status = exits.OK

    def run(self) -> Iterator[Fate]:
        """Deliver, and yield what became of each step.

        It ends where the service goes away, and at a refusal unless it is to keep going.
        """
        for id_ in self._spool.waiting():
            fate = self._one(id_)
            yield fate
            if fate.became == "waiting" or (fate.became == "refused" and not self._keep_going):
                return

    def _one(self, id_: str) -> Fate:
        folder = self._spool.entries / id_
        entry: Entry | None = None
        try:
            entry = read_entry(folder)
            if entry.service != self._service.shown:
                self.status = self.status or exits.FAILED
                return Fate(id_, "left", entry)
            with _progress(entry) as sent:
                delivered = deliver(self._service, entry, folder, sent)
        except ClientError as error:
            return self._failed(id_, entry, error)
        # First out of sight at once, then gone: half a folder is never delivered.
        move(folder, self._spool.refused / f".done-{id_}")
        remove(self._spool.refused / f".done-{id_}")
        return Fate(id_, "delivered", entry, delivered)

    def _failed(self, id_: str, entry: Entry | None, error: ClientError) -> Fate:
        if isinstance(error, ServiceError) and not _final(error):
            self.status = exits.SERVICE
            return Fate(id_, "waiting", entry, error=error)
        self.status = self.status or exits.FAILED
        self._put_aside(id_, error)
        return Fate(id_, "refused", entry, error=error)

    def _put_aside(self, id_: str, error: ClientError) -> None:
        folder, target = self._spool.entries / id_, self._spool.refused / id_
        reason = {"reason": error.message, "hint": error.hint, "at": clock.now()}
        (folder / "reason.json").unlink(missing_ok=True)
        write_file(folder / "reason.json", encode(reason))
        move(folder, target)


def clear(spool: Spool) -> None:
    """Drop what was delivered when a flush was killed on the way out. Needs the lock `flushing`."""
    for one in spool.refused.glob(".done-*"):
        remove(one)


def _final(error: ServiceError) -> bool:
    """Whether `error` is about the step itself and will be the same tomorrow."""
    if away(error) or not isinstance(error, RefusedError):
        return False
    return 400 <= error.code < 500 and error.code not in _ABOUT_US and error.slug not in _LATER


@contextmanager
def _progress(entry: Entry) -> Iterator[Sent]:
    total, done = entry.total(), 0
    with bar(f"delivering {entry.id}") as advance:
        note: Callable[[int, int], None] | None = advance

        def sent(count: int) -> None:
            nonlocal done
            done += count
            if note is not None:
                note(done, total)

        yield sent
