"""A request with much in it does not keep those waiting that ask for little."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from api.bodies import RecordBody
from artifacts.strict_json import loads

pytestmark = pytest.mark.both_databases

MANY = 8_000


def _body() -> bytes:
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(MANY)]
    inputs = [
        {"uri": f"file:///{number}", "digest": {"sha256": digest}} for number, digest in enumerate(digests)
    ]
    return json.dumps({"name": "x", "outcome": "succeeded", "inputs": inputs}).encode()


def _read(body: bytes) -> float:
    """The work, in seconds of this thread, of reading `body` and nothing more."""
    began = time.thread_time()
    for reference in RecordBody.model_validate(loads(body)).inputs:
        reference.to_ref()
    return time.thread_time() - began


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Leave out what meets any piece of work: one look at everything may take longer than all of it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_the_loop_goes_round_while_a_record_of_thousands_of_inputs_is_taken_in(
    client: httpx2.AsyncClient,
) -> None:
    body = _body()
    with _without_garbage_collection():
        reading = _read(body)
        recording = asyncio.create_task(client.post("/v1/records", content=body))
        longest, before = 0.0, time.thread_time()
        while not recording.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now
    assert (await recording).status_code == 201
    # Taking it in is many times the work of reading it; no piece of it on the loop is more than a fraction of that.
    assert longest < reading / 4
