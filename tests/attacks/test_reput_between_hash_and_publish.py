"""A part is sent again, with other bytes, at a hundred moments of its way into the store.

Whatever the moment: what is published under a digest hashes to it, and an upload that was
refused published nothing (threats S6).
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

import httpx2
import pytest

from artifacts import layout, receipts
from artifacts.digest import Digest
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.s3 import store_over
from tests.service import Service, a_service

TIMINGS = 100
SIZE = 1_500_000
# What the worker asks of the store for one upload: copy, look, read, look, copy, look, delete, write, delete.
MOMENTS = 12


class Swapper:
    """Sends a part again just before the store answers a chosen request, and maybe once more after."""

    def __init__(self, fake: FakeS3, url: str, contents: list[bytes], *, at: int) -> None:
        self._fake, self._url, self._contents, self._at = fake, url, contents, at
        self._count = 0
        self._lock = threading.Lock()
        self.sent = 0

    def __call__(self, name: str) -> None:
        with self._lock:
            self._count += 1
            due = bool(self._contents) and self._count >= self._at
            content = self._contents.pop(0) if due else b""
        if due:
            # With the very URL that the client was given, beside the worker's own request.
            before, self._fake.before = self._fake.before, lambda _: None
            assert httpx2.put(self._url, content=content).status_code == 200
            self.sent += 1
            self._fake.before = before


async def announced(client: httpx2.AsyncClient, content: bytes) -> tuple[str, str]:
    """Announce `content`; give the id of the upload and the URL of its only part."""
    body = {"size": len(content), "digest": str(Digest.of(content))}
    told = (await client.post("/v1/blobs/uploads?resumable=1", json=body)).json()
    return told["upload"], told["parts"][0]["url"]


async def attack(service: Service, client: httpx2.AsyncClient, fake: FakeS3, timing: int) -> str:
    """One upload, attacked at one moment; return what became of it."""
    right, wrong = secrets.token_bytes(SIZE), secrets.token_bytes(SIZE)
    upload, url = await announced(client, right)
    first, then = [(right, [wrong]), (wrong, [right]), (right, [wrong, right]), (wrong, [right, wrong])][
        timing % 4
    ]
    assert (await client.put(f"/v1/blobs/uploads/{upload}/parts/1", content=first)).status_code == 201
    swapper = Swapper(fake, url, list(then), at=1 + timing // 4 % MOMENTS)
    fake.before = swapper
    answer = await client.post(f"/v1/blobs/uploads/{upload}/complete")
    assert answer.status_code == 202
    await service.join_uploads()
    fake.before = lambda _: None
    state: str = (await client.get(f"/v1/blobs/uploads/{upload}")).json()["state"]
    await check(service, client, state, [right, wrong])
    return state if swapper.sent else "not attacked"


async def check(service: Service, client: httpx2.AsyncClient, state: str, contents: list[bytes]) -> None:
    """What is published hashes to its digest; what was refused left nothing."""
    right, wrong = contents
    assert state in {"present", "refused"}
    fetched = await client.get(f"/v1/blobs/{Digest.of(right)}")
    receipt = await receipts.read(service.store, "default", Digest.of(right), kind=receipts.WORKER)
    if state == "present":
        assert (fetched.status_code, fetched.content) == (200, right)
        assert receipt is not None
        assert receipt.holds
    else:
        assert fetched.status_code == 404
        assert receipt is None
        assert await service.store.size(layout.blob("default", Digest.of(right))) is None
    assert await service.store.size(layout.blob("default", Digest.of(wrong))) is None


@pytest.mark.slow
async def test_a_part_that_is_sent_again_at_any_moment_changes_nothing_that_counts(tmp_path: Path) -> None:
    with a_fake_s3() as fake:
        store = store_over(fake)
        states: list[str] = []
        async with a_service(tmp_path, kept_in=store) as service, service.client() as client:
            # A moment that lies behind the end of an upload is none.
            for timing in range(2 * TIMINGS):
                states += {await attack(service, client, fake, timing)} - {"not attacked"}
                if len(states) == TIMINGS:
                    break
        store.close()
    assert len(states) == TIMINGS
    # The moments are real ones: some attacks came in time to spoil an upload, others too late.
    assert states.count("refused") >= 10
    assert states.count("present") >= 10
