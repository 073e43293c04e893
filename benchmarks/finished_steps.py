"""Finished steps as their records tell of them, and an index filled with many of them."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api.settings import Settings
from artifacts import layout
from artifacts.clock import to_milliseconds, written
from artifacts.db import connect
from artifacts.digest import Digest
from artifacts.identifiers import new_ulid
from artifacts.queries import reindexing, relinking
from artifacts.queries.reindexing import Filed, StatedBy
from artifacts.queries.sealing import Place
from artifacts.record_codec import encode
from artifacts.sealing import SIGN
from artifacts.steps import StepState
from benchmarks import requests
from provenance.attest import BUILDER
from provenance.predicate import PROVENANCE_V1

PROJECT = "default"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
_SEED = 20_261_122
_INPUTS, _NEAR = 4, 20
_AT_ONCE = 500


def members(
    number: int, inputs: Sequence[dict[str, Any]], outputs: Sequence[dict[str, Any]]
) -> dict[str, Any]:  # Any: JSON
    """The members of the record of step `number`, a second after that of the one before."""
    at = FIRST + timedelta(seconds=number)
    step = new_ulid(at)
    return {
        "project": PROJECT,
        "run": step,
        "step": step,
        "name": "build",
        "principal": "token:first",
        "via": "record",
        "outcome": "succeeded",
        "began_at": written(at),
        "finished_at": written(at),
        "command": ["make", "dist"],
        "parameters": {"target": "dist"},
        "environment": {"LANG": "C.UTF-8"},
        "reported": {},
        "inputs": list(inputs),
        "outputs": [{**each, "received": False} for each in outputs],
        "byproducts": [],
    }


def fill(settings: Settings, steps: int) -> None:
    """File so many signed steps by the statements of a reindex, which are the index's own way in bulk.

    Each makes what `requests.record` says it makes, and uses outputs of some of the twenty
    before it. `settings` are of an index that has its schema.
    """
    gc.freeze()  # what is there already is looked through for garbage again and again otherwise
    try:
        asyncio.run(_fill(settings, steps))
    finally:
        gc.unfreeze()


async def _fill(settings: Settings, steps: int) -> None:
    database, chance = connect(settings.index_url), random.Random(_SEED)
    batches = [range(start, min(start + _AT_ONCE, steps)) for start in range(0, steps, _AT_ONCE)]
    ids: list[list[str]] = []
    try:
        for numbers in batches:
            filed = list(_filed(numbers, chance))
            ids.append([one.members["step"] for one in filed])
            async with database.writing() as connection:
                await reindexing.file_records(connection, filed, sign=SIGN, now=filed[-1].sealed_at)
        async with database.writing() as connection:
            await relinking.count_again(connection)
        for some in ids:
            async with database.writing() as connection:
                await relinking.link_again(connection, PROJECT, some)
    finally:
        await database.close()


def _filed(numbers: range, chance: random.Random) -> Iterator[Filed]:
    for number in numbers:
        near = [chance.randrange(max(0, number - _NEAR), number) for _ in range(_INPUTS if number else 0)]
        inputs = {(one, chance.randrange(requests.OUTPUTS)) for one in near}
        said = members(
            number,
            [requests.reference(*each) for each in sorted(inputs)],
            [requests.reference(number, index) for index in range(requests.OUTPUTS)],
        )
        line = encode(said)
        at = to_milliseconds(FIRST + timedelta(seconds=number))
        digest = Digest.of(line)
        segment = layout.segment(PROJECT, said["step"], digest, FIRST)
        subjects = tuple(bytes.fromhex(each["digest"]["sha256"]) for each in said["outputs"])
        stated = StatedBy(
            Digest.of(b"statement" + line).raw, BUILDER, PROVENANCE_V1, digest.hex, subjects, at
        )
        yield Filed(said, Place(segment, 0, len(line), digest), at, (stated,), StepState.SIGNED)
