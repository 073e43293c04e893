"""Bytes that are sent again, and read, while a collection removes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from artifacts.collecting import Collector
from artifacts.labour import Labourer
from artifacts.removal import REMOVE, Removals
from tests.attacks.remains import query
from tests.races import models
from tests.races.arena import Answer, Arena, Asking
from tests.races.history import Event, Told
from tests.service import Service, sha256

_DAY: Final = 86_400


async def sent_again(arena: Arena, numbers: Sequence[int]) -> list[list[Event]]:
    """All of `numbers` in one collection."""
    contents = [b"to be collected, round %d" % number for number in numbers]
    await _grown_old(arena, contents)
    removing = asyncio.create_task(_collected(arena))
    histories = await asyncio.gather(*(_asked_for(arena, content) for content in contents))
    called, returned = await removing
    gone = {bytes(row[0]) for row in query(arena.folder, "SELECT digest FROM tombstone")}
    for content, history in zip(contents, histories, strict=True):
        told = "gone" if bytes.fromhex(sha256(content)) in gone else "stays"
        history.append(Event(("collect",), told, called, returned))
        # What was refused meanwhile is taken in now, and stays.
        history += [await arena.event(("upload",), _upload(content)), await _read(arena, content)]
    return histories


async def _grown_old(arena: Arena, contents: Sequence[bytes]) -> None:
    """Bytes that steps sent and nobody named, a grace period ago."""
    for content in contents:
        await arena.service.parts.recorder.receive_blob(
            "default", _pieces(content), declared=None, by_step=True
        )
    await arena.service.read_back()
    arena.service.clock.advance(_DAY + 1)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _asked_for(arena: Arena, content: bytes) -> list[Event]:
    uploads = [arena.event(("upload",), _upload(content)) for _ in range(2)]
    reads = [_read(arena, content) for _ in range(2)]
    # Over as long as the last collection took: some requests meet this one at each of its steps.
    return await arena.together([*uploads, *reads], spread=arena.collecting)


def _upload(content: bytes) -> Asking:
    return Asking("POST", "/v1/blobs/uploads", content, {"content-type": "application/octet-stream"})


async def _read(arena: Arena, content: bytes) -> Event:
    def told(answer: Answer) -> Told:
        if answer.status == 404:
            return models.ABSENT
        return "here" if (answer.status, answer.body) == (200, content) else answer.status

    return await arena.event(("read",), Asking("GET", f"/v1/blobs/sha256:{sha256(content)}"), told)


async def _collected(arena: Arena) -> tuple[int, int]:
    """One worker decides, two remove; between which moments that was."""
    called, began = arena.moment(), time.monotonic()
    deciding = arena.signers[0]
    removals = Removals(deciding.database, deciding.store, deciding.clock)
    await Collector(deciding.database, deciding.clock, removals).collect()
    await asyncio.gather(*(_removed(worker, number) for number, worker in enumerate(arena.signers[:2])))
    arena.collecting = time.monotonic() - began
    return called, arena.moment()


async def _removed(worker: Service, number: int) -> None:
    failures: list[object] = []
    note = lambda job, error: failures.append((job, error))  # noqa: E731  # two words, one use
    removing = Removals(worker.database, worker.store, worker.clock).remove
    labourer = Labourer(worker.database, worker.clock, REMOVE, f"w{number}", removing, note)
    while await labourer.round():
        pass
    assert failures == []
