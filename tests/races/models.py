"""What each kind of thing does when it is asked by one caller at a time: the whole promise, in a few lines."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from tests.races.history import IMPOSSIBLE, Event

ABSENT: Final = "absent"


def kept_once(state: Hashable, event: Event) -> Hashable:
    """Bytes, a reference, a name of a step, a whole record: the first writer decides, for ever.

    Asked ("write", value): 201 is the first, 200 says the same again, 409 says something else.
    Asked ("read",): the value, or that it is absent.
    """
    if event.asked == ("read",):
        return state if event.told == state else IMPOSSIBLE
    _, value = event.asked
    if state == ABSENT:
        return value if event.told == 201 else IMPOSSIBLE
    return state if event.told == (200 if value == state else 409) else IMPOSSIBLE


Sealed = tuple[str, frozenset[str]]
"""The outcome, empty while the step is open, and the names of its outputs."""

OPEN: Final[Sealed] = ("", frozenset())


def finished_once(state: Sealed, event: Event) -> Hashable:
    """A step: outputs come in while it is open, the first finish decides, and the record holds both.

    Asked ("put", name), ("finish", outcome), ("look",) for the outcome, or ("stated",) for all of it.
    """
    outcome, outputs = state
    told: Hashable = {"look": outcome, "stated": state, "put": 409 if outcome else 201}.get(
        str(event.asked[0])
    )
    after = state
    if event.asked[0] == "put" and not outcome:
        after = (outcome, outputs | {str(event.asked[1])})
    if event.asked[0] == "finish":
        wanted = str(event.asked[1])
        told = wanted if outcome in ("", wanted) else 409
        after = (outcome or wanted, outputs)
    return after if event.told == told else IMPOSSIBLE


def answered_once(state: Hashable, event: Event) -> Hashable:
    """An idempotency key: the first body and its answer are kept, another body is refused.

    Asked ("use", body), told the id that was made, or 422.
    """
    body, made = state if isinstance(state, tuple) else (None, None)
    _, sent = event.asked
    if body is None:
        return (sent, event.told) if event.told != 422 else IMPOSSIBLE
    return state if event.told == (made if sent == body else 422) else IMPOSSIBLE


def stated_once(state: Hashable, event: Event) -> Hashable:
    """The statements about a step: none until a signer is done, then one, always the same.

    Asked ("sign", "late") by a signer whose lease somebody else has by now, ("sign", "held") by
    that one, or ("read",), told the digests of the bundles.
    """
    if event.asked == ("sign", "late"):
        return state
    if event.asked == ("sign", "held"):
        return "signed" if state == "unsigned" else state
    if state == "unsigned":
        return state if event.told == () else IMPOSSIBLE
    if not (isinstance(event.told, tuple) and len(event.told) == 1):
        return IMPOSSIBLE
    return event.told if state in ("signed", event.told) else IMPOSSIBLE


OLD, FRESH = "old", "fresh"
"""Bytes that nobody named for a grace period, and those that were sent again."""


def never_lost(state: Hashable, event: Event) -> Hashable:
    """Bytes that may be collected: whoever is told that they are here can rely on it.

    Asked ("upload",): 200 they were here, 201 they were not; from now on they stay. Or 503: they
    are being removed, try again. Asked ("read",): "here" or absent. Asked ("collect",): "gone" or
    "stays".
    """
    here = state != ABSENT
    match event.asked, event.told:
        case ("upload",), 503:
            after = IMPOSSIBLE if here else state
        case ("upload",), status:
            after = FRESH if status == (200 if here else 201) else IMPOSSIBLE
        case ("read",), told:
            after = state if told == ("here" if here else ABSENT) else IMPOSSIBLE
        case ("collect",), "gone":
            after = ABSENT if state == OLD else IMPOSSIBLE
        case _:
            after = state if state == FRESH else IMPOSSIBLE
    return after
