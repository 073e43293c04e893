"""Each of the twenty-two faults at each request: success after a retry, or a clean refusal."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from artifacts.errors import UnavailableError
from artifacts.layout import Key
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.faults import Fault
from tests.faults_s3.trials import OPERATIONS, meets, trial

PLACES = [(name, request) for name, one in OPERATIONS.items() for request in one.requests]
# One of these passes by itself, so once it is survived wherever repeating is allowed.
PASSING = {
    Fault.INTERNAL_ERROR,
    Fault.SLOW_DOWN,
    Fault.RESET_BEFORE_BODY,
    Fault.LOST_ANSWER,
    Fault.CONFLICT,
    Fault.DUPLICATE,
    Fault.TIMEOUT,
    Fault.HANG,
}
LASTING = {Fault.FORBIDDEN, Fault.SKEWED_CLOCK, Fault.FULL, Fault.REDIRECT}


async def outcomes(name: str, request: str, *, times: int) -> dict[Fault, str]:
    """What comes of every fault at one place; they run beside each other, each against its own server."""
    faults = [fault for fault in Fault if meets(request, fault)]
    # Megabytes are hashed several times on both sides, and must not look like a slow store.
    limit = asyncio.Semaphore(1 if "MB" in name or "join" in name else 4)

    async def one(fault: Fault) -> str:
        async with limit:
            return await trial(name, request, fault, times=times)

    return dict(zip(faults, await asyncio.gather(*map(one, faults)), strict=True))


def test_there_are_twenty_two_faults() -> None:
    assert len(Fault) == 22


@pytest.mark.slow
@pytest.mark.parametrize(("name", "request_"), PLACES)
async def test_a_fault_that_comes_once_is_survived_or_refused_cleanly(name: str, request_: str) -> None:
    came = await outcomes(name, request_, times=1)
    quiet = request_ in {"DeleteObject", "AbortMultipartUpload"}  # never repeated; upkeep sees to it
    if not quiet:
        assert {fault for fault in PASSING & came.keys() if came[fault] != "done"} == set()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "request_"), PLACES)
async def test_a_fault_that_stays_is_refused_cleanly(name: str, request_: str) -> None:
    came = await outcomes(name, request_, times=1000)
    ends = {"stage and promote 1.5 MB", "forget unfinished"}  # what is left over is swept later
    if request_ not in {"DeleteObject", "AbortMultipartUpload"} or name not in ends:
        assert {fault for fault in LASTING if came[fault] != "unavailable"} == set()


async def test_a_server_that_breaks_off_the_handshake_is_not_available() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def abort() -> None:
            for _ in range(2):
                accepted, _address = listening.accept()
                accepted.recv(64)
                accepted.close()

        threading.Thread(target=abort, daemon=True).start()
        port = listening.getsockname()[1]
        access = Access("b", f"https://127.0.0.1:{port}", access_key="k", secret_key="s", attempts=2)
        store = S3Store(Bucket(access))
        with pytest.raises(UnavailableError):
            await store.put(Key("some/object"), b"content")
        store.close()
