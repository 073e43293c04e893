"""No label above `reported` without the bytes: receipts and flags alone prove nothing."""

from __future__ import annotations

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.limits import SMALL_BLOB_BYTES
from artifacts.wire import canonical
from tests.attacks.actors import begin, put
from tests.attacks.hostile import AT, assert_refused, plant, request, the_statement, written
from tests.attacks.remains import query, remains
from tests.attacks.statements import labels_of
from tests.service import Service, reference, sha256

SMALL = b"a small wheel"
LARGE = b"L" * (SMALL_BLOB_BYTES + 1)


def receipt(content: bytes, **changed: object) -> bytes:
    """What a receipt for `content` looks like."""
    said = {
        "receipt": "custody/v1",
        "kind": "worker",
        "project": "default",
        "digest": f"sha256:{sha256(content)}",
        "size": len(content),
        "hashed_at": AT,
    }
    return canonical({**said, **changed}).encode()


def key_of(content: bytes, *, kind: str = "worker") -> Key:
    return layout.receipt("default", Digest.of(content), kind)


def claimed(content: bytes) -> dict[str, object]:
    """Everything a hostile record can claim about `content`, at once."""
    out = reference(content, name="x.whl", uri="pkg:pypi/x@1", received=True, size=len(content))
    return {"outputs": [out], "inputs": [reference(b"in", uri="pkg:pypi/in@1")], "byproducts": [out]}


async def test_received_is_nothing_without_bytes(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    await plant(service, step, written(step, **claimed(SMALL)))
    assert labels_of(await the_statement(service)) == {"reported"}


@pytest.mark.parametrize("kind", ["api", "worker"])
async def test_a_receipt_is_nothing_without_bytes(
    service: Service, client: httpx2.AsyncClient, kind: str
) -> None:
    step = await begin(client)
    for content in (SMALL, LARGE, b"in"):
        await service.store.put(key_of(content, kind=kind), receipt(content, kind=kind))
    await plant(service, step, written(step, **claimed(SMALL)))
    assert labels_of(await the_statement(service)) == {"reported"}


async def test_an_api_receipt_does_not_vouch_for_a_large_blob(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await service.store.put(layout.blob("default", Digest.of(LARGE)), b"X" * len(LARGE))
    await service.store.put(key_of(LARGE, kind="api"), receipt(LARGE, kind="api"))
    await plant(service, step, written(step, **claimed(LARGE)))
    for _ in range(3):
        service.clock.advance(1)
        await service.sign()
    left = remains(service.folder / "data")
    assert left.rows["attestation"] == frozenset()
    told = query(service.folder / "data", "SELECT reason FROM step_ledger WHERE state = 'sealed'")
    assert "read back" in told[0][0]
    # The worker reads, sees other bytes, says so; then it is over.
    request(service, sha256(LARGE), kind="hash")
    await service.read_back()
    service.clock.advance(1)
    assert "hash" in await assert_refused(service, step)


FORGED = {
    "of another project": receipt(SMALL, project="other"),
    "for another digest": receipt(b"other"),
    "of another kind": receipt(SMALL, kind="api"),
    "of a kind nobody has": receipt(SMALL, kind="root"),
    "that found other bytes": receipt(SMALL, found=f"sha256:{sha256(b'other')}"),
    "with an unknown member": receipt(SMALL, verified=True),
    "with a float": receipt(SMALL, size=1.5),
    "with two sizes": receipt(SMALL).replace(b'"size":13', b'"size":13,"size":13'),
    "of version 2": receipt(SMALL, receipt="custody/v2"),
    "that is empty": b"",
    "that is no JSON": b"\xff\xfe",
    "of another size": receipt(SMALL, size=5),
    "of negative size": receipt(SMALL, size=-1),
    "that is huge": b'{"receipt":"custody/v1","x":"' + b"x" * (5 << 20) + b'"}',
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_receipt_gets_nothing_signed(
    service: Service, client: httpx2.AsyncClient, forged: bytes
) -> None:
    step = await begin(client)
    await service.store.put(layout.blob("default", Digest.of(SMALL)), SMALL)
    await service.store.put(key_of(SMALL), forged)
    await plant(service, step, written(step, **claimed(SMALL)))
    assert await assert_refused(service, step)


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_bytes_swapped_before_they_were_read_back_are_refused(
    service: Service, client: httpx2.AsyncClient, content: bytes
) -> None:
    step = await begin(client)
    async with service.client(step.token) as own:
        await put(own, step, "x.whl", content)
    path = service.folder / "data" / "objects" / str(layout.blob("default", Digest.of(content)))
    path.chmod(0o600)
    path.write_bytes(b"E" * len(content))
    await service.read_back()
    await plant(service, step, written(step, **claimed(content)))
    assert await assert_refused(service, step)


async def test_bytes_of_another_length_are_refused_in_spite_of_a_good_receipt(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    async with service.client(step.token) as own:
        await put(own, step, "x.whl", LARGE)
    await service.read_back()
    path = service.folder / "data" / "objects" / str(layout.blob("default", Digest.of(LARGE)))
    path.chmod(0o600)
    path.write_bytes(LARGE + b"more")
    await plant(service, step, written(step, **claimed(LARGE)))
    assert await assert_refused(service, step)


async def test_a_whole_record_is_never_observed(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    async with service.client(step.token) as own:
        await put(own, step, "x.whl", SMALL)
    await service.read_back()
    await plant(service, step, written(step, via="record", **claimed(SMALL)))
    statement = await the_statement(service)
    assert labels_of(statement) == {"verified", "reported"}
    (subject,) = statement["subject"]
    assert subject["annotations"] == {
        "custody_integrity": "verified",
        "custody_origin": "reported",
        "custody_role": "reported",
    }


async def test_honest_bytes_get_exactly_what_was_seen(service: Service, client: httpx2.AsyncClient) -> None:
    """The other side of every refusal above: what is true is said."""
    step = await begin(client)
    async with service.client(step.token) as own:
        await put(own, step, "x.whl", SMALL)
        await put(own, step, "large.bin", LARGE)
        await own.post(f"{step.url}/finish", json={"outcome": "succeeded"})
    await service.read_back()
    statement = await the_statement(service)
    for subject in statement["subject"]:
        assert subject["annotations"] == {"custody_integrity": "verified", "custody_role": "observed"}
