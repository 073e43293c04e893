"""Every fault at every request of every operation: what came of it, and what was left."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError, UnavailableError
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.faults import Fault
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.s3 import store_over

MIB = 1 << 20
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SHORT, MIDDLE = b"a short object" * 20, bytes(range(256)) * 6000
LONG = bytes(range(256)) * 33_000
_DAMAGE = b"not what its name says"
UPLOAD = "01K00000000000000000000000"
PARTS = [layout.part(UPLOAD, 1), layout.part(UPLOAD, 2)]
JOINED = LONG[: 5 * MIB] + b"the end"

Run = Callable[[S3Store], Awaitable[None]]


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), MIB):
        yield content[start : start + MIB]


def _blob(content: bytes) -> layout.Key:
    return layout.blob("default", Digest.of(content))


async def _nothing(store: S3Store) -> None:
    """There is nothing to prepare."""


async def _put(store: S3Store) -> None:
    await store.put(_blob(SHORT), SHORT)


def _keep(content: bytes) -> Run:
    async def keep(store: S3Store) -> None:
        staged = await store.stage(_stream(content), at=NOW, limit=len(content))
        if staged.digest != Digest.of(content):
            raise AssertionError("another digest")
        await store.promote(staged, _blob(content))

    return keep


def _mend(content: bytes) -> Run:
    async def mend(store: S3Store) -> None:
        await store.replace(await store.stage(_stream(content), at=NOW, limit=len(content)), _blob(content))

    return mend


def _damaged(content: bytes) -> Run:
    async def damaged(store: S3Store) -> None:
        await store.put(_blob(content), _DAMAGE)

    return damaged


async def _read(store: S3Store) -> None:
    if await store.read(_blob(SHORT)) != SHORT:
        raise AssertionError("other bytes")


async def _open(store: S3Store) -> None:
    hasher = hashlib.sha256()
    async for piece in store.open(_blob(MIDDLE)):
        hasher.update(piece)
    if hasher.hexdigest() != Digest.of(MIDDLE).hex:  # as every caller of `open` does
        raise CorruptedError("other bytes")


async def _size(store: S3Store) -> None:
    if await store.size(_blob(SHORT)) != len(SHORT):
        raise NotFoundError("not shown")


async def _delete(store: S3Store) -> None:
    await store.delete(_blob(SHORT))


async def _several(store: S3Store) -> None:
    for number in range(8):
        await store.put(layout.Key(f"listed/{number}"), SHORT)


async def _list(store: S3Store) -> None:
    names = [str(one.key) async for one in store.list("listed/")]
    if names != [f"listed/{number}" for number in range(8)]:
        raise AssertionError(f"another list: {names}")


async def _parts(store: S3Store) -> None:
    await store.put(PARTS[0], JOINED[: 5 * MIB])
    await store.put(PARTS[1], JOINED[5 * MIB :])


async def _join(store: S3Store) -> None:
    staged = await store.assemble(PARTS, at=NOW)
    if staged.digest != Digest.of(JOINED):
        await store.discard(staged)
        raise CorruptedError("other bytes")  # as whoever assembles does
    await store.promote(staged, _blob(JOINED))


async def _unfinished(store: S3Store) -> None:
    await store._bucket.call("create_multipart_upload", Key="service/staging/left")


async def _forget(store: S3Store) -> None:
    await store.forget_unfinished(before=datetime.now(UTC) + timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, what must be there before, the requests it makes, what it leaves over what."""

    prepare: Run
    run: Run
    requests: tuple[str, ...]
    leaves: bytes | None = None
    over: bytes | None = None


OPERATIONS: Final[Mapping[str, Operation]] = {
    "put": Operation(_nothing, _put, ("HeadObject", "PutObject"), SHORT),
    "stage and promote 1.5 MB": Operation(
        _nothing, _keep(MIDDLE), ("PutObject", "HeadObject", "CopyObject", "DeleteObject"), MIDDLE
    ),
    "stage and promote 8.4 MB": Operation(
        _nothing, _keep(LONG), ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), LONG
    ),
    "replace": Operation(_damaged(SHORT), _mend(SHORT), ("PutObject",), SHORT, _DAMAGE),
    "replace by 1.5 MB": Operation(_damaged(MIDDLE), _mend(MIDDLE), ("CopyObject",), MIDDLE, _DAMAGE),
    "read": Operation(_put, _read, ("GetObject",)),
    "open": Operation(_keep(MIDDLE), _open, ("GetObject",)),
    "size": Operation(_put, _size, ("HeadObject",)),
    "delete": Operation(_put, _delete, ("DeleteObject",)),
    "list": Operation(_several, _list, ("ListObjectsV2",)),
    "join parts": Operation(
        _parts, _join, ("UploadPartCopy", "CompleteMultipartUpload", "GetObject", "CopyObject"), JOINED
    ),
    "forget unfinished": Operation(_unfinished, _forget, ("ListMultipartUploads", "AbortMultipartUpload")),
}
_ONLY: Final[Mapping[Fault, set[str]]] = {
    Fault.BIT_FLIP: {"GetObject"},
    Fault.ERROR_IN_200: {"CompleteMultipartUpload", "CopyObject", "UploadPartCopy"},
    Fault.REPEATED_PAGE: {"ListObjectsV2"},
}


def meets(request: str, fault: Fault) -> bool:
    """Whether a request of that kind can meet the fault."""
    return request in _ONLY.get(fault, {request})


async def trial(name: str, request: str, fault: Fault, *, times: int) -> str:
    """Let one operation meet a fault; return what came of it.

    Raises:
        AssertionError: it was neither done nor refused cleanly, or left something behind.
    """
    operation = OPERATIONS[name]
    with a_fake_s3(page=3, silence=1.6) as fake:
        patient = store_over(fake)
        store = store_over(fake, impatient=True)
        try:
            await operation.prepare(patient)
            fake.faults.add(request, fault, times=times)
            outcome = await _outcome(operation, store)
            met = fake.faults.met
            fake.faults.clear()
            if not met:
                raise AssertionError(f"{name} makes no {request}")
            await asyncio.sleep(fake.refuse_seconds * 3 if fault is Fault.REFUSED else 0)
            await _settled(operation, patient, fake, outcome)
        finally:
            store.close()
            patient.close()
    return outcome


async def _outcome(operation: Operation, store: S3Store) -> str:
    try:
        await operation.run(store)
    except UnavailableError:
        return "unavailable"
    except CorruptedError:
        return "corrupted"
    except NotFoundError:
        return "not found"
    return "done"


async def _settled(operation: Operation, store: S3Store, fake: FakeS3, outcome: str) -> None:
    """What is acknowledged is there and equal; what is not is absent or equal; the next try works."""
    if operation.leaves is not None:
        key = f"service/{_blob(operation.leaves)}"
        found = fake.shelf.objects.get(key)
        may_be = {operation.leaves} if outcome == "done" else {operation.leaves, operation.over}
        if (None if found is None else found.content) not in may_be:
            raise AssertionError(f"{outcome}, and there is neither what was nor what should be")
    await operation.run(store)
    if operation.leaves is not None and fake.shelf.objects[key].content != operation.leaves:
        raise AssertionError("wrong after the next try")
