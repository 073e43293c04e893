"""Refusals: objects that say which sealed records the signer refused for ever, and why.

A refusal has no signature. It can only hold back: whoever could plant one could as well
delete the record it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from artifacts import layout
from artifacts.clock import written
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import loads
from artifacts.wire import Wire, canonical


class _Body(Wire):
    refusal: Literal["custody/v1"]
    project: str
    step: str
    record: str
    reason: str
    refused_at: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is never signed."""

    project: str
    step: str
    record: Digest
    reason: str


async def write(store: ObjectStore, refusal: Refusal, *, at: datetime) -> None:
    """Publish `refusal`; the first one stays."""
    members = {
        "refusal": "custody/v1",
        "project": refusal.project,
        "step": refusal.step,
        "record": str(refusal.record),
        "reason": refusal.reason,
        "refused_at": written(at),
    }
    key = layout.refusal(refusal.project, refusal.step, refusal.record)
    await store.put(key, canonical(members).encode())


def _text(reason: str) -> str:
    if "\0" in reason:
        raise InvalidInputError("not every index keeps such text")
    return reason


def parse(content: bytes) -> tuple[Refusal, str]:
    """Read an object of `refusals/`: the refusal, and when it was written.

    Raises:
        CorruptedError: it is not one.
    """
    try:
        body = _Body.model_validate(loads(content))
        refusal = Refusal(body.project, body.step, Digest.parse(body.record), _text(body.reason))
    except (ValidationError, InvalidInputError, LimitExceededError) as error:
        raise CorruptedError("the refusal is not one of ours") from error
    return refusal, body.refused_at
