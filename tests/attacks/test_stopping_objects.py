"""Whoever writes to the bucket tries to stop what reads it: a reindex, or the signer at its start.

What was planted is left out and listed; everything honest is filed, and signing goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import utils

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.limits import MAX_BATCH, MAX_JSON_BYTES, MAX_RECORD_BYTES
from artifacts.wire import canonical
from provenance.bundle import Bundle
from provenance.dsse import Envelope, Signature
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import an_id
from tests.attacks.planting import AT, honest, plant, status
from tests.reindex.corpus import looking, objects, reindex
from tests.service import Service

pytestmark = pytest.mark.both_databases
_RECORD = Digest.of(b"a record")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def a_refusal(**changed: object) -> bytes:
    """What a refusal looks like."""
    said = {
        "refusal": "custody/v1",
        "project": "default",
        "step": an_id(),
        "record": str(_RECORD),
        "reason": "because",
        "refused_at": "2026-11-22T10:00:00.000Z",
    }
    return canonical({**said, **changed}).encode()


def unsigned(payload: bytes) -> bytes:
    """A bundle of what nobody signed."""
    signature = Signature(b"none", "SHA256:nobody")
    return Bundle.of(Envelope(PAYLOAD_TYPE, payload, (signature,))).to_bytes()


async def left_out(service: Service, fresh: Service, key: Key, content: bytes) -> None:
    """Plant `content` beside an honest step; all that a reindex makes of it is one line of its report."""
    step = await honest(service)
    plant(service, key, content)
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [str(key)]
    assert report.counts["records signed"] == 1
    assert await status(fresh, step.url) == 200


@pytest.mark.parametrize(
    "content",
    [
        a_refusal(step="no ULID"),
        a_refusal(step=an_id()),
        a_refusal(reason="a\0b"),
        a_refusal(refused_at="soon"),
        b" " * (MAX_JSON_BYTES + 1),
    ],
    ids=["of no step", "of another step", "that no index holds", "at no time", "without end"],
)
async def test_a_refusal_that_is_none_is_left_out(service: Service, fresh: Service, content: bytes) -> None:
    await left_out(service, fresh, layout.refusal("default", an_id(), _RECORD), content)


@pytest.mark.parametrize(
    "content",
    [b"[" * 300 + b"]" * 300, unsigned(b"[" * 300 + b"]" * 300), b"[" * 5000, unsigned(b"[" * 5000)],
    ids=["a bundle", "a payload", "a bundle without end", "a payload without end"],
)
async def test_a_bundle_that_nests_without_end_is_left_out(
    service: Service, fresh: Service, content: bytes
) -> None:
    await left_out(service, fresh, layout.attestation(Digest.of(content)), content)


@pytest.mark.parametrize(
    "key",
    [
        Key("control/keys/big.json"),
        layout.receipt("default", Digest.of(b"big"), "worker"),
    ],
    ids=str,
)
async def test_a_small_object_that_is_large_is_left_out(service: Service, fresh: Service, key: Key) -> None:
    await left_out(service, fresh, key, b" " * (MAX_JSON_BYTES + 1))


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"x" * (MAX_RECORD_BYTES + 1) + b"\n", 1), (b"x\n" * 10_000, MAX_BATCH + 1), (b"\n" * 10_000, 1)],
    ids=["one line without end", "lines without end", "nothing without end"],
)
async def test_a_segment_without_end_is_left_out(
    service: Service, fresh: Service, content: bytes, lines: int
) -> None:
    step = await honest(service)
    key = layout.segment("default", an_id(), Digest.of(content), AT)
    plant(service, key, content)
    report = await reindex(fresh)
    assert {one.key.partition("#")[0] for one in report.quarantined} == {str(key)}
    assert report.counts["quarantined"] == lines
    assert await status(fresh, step.url) == 200


def copied(bundle: bytes) -> tuple[Key, bytes]:
    """The very bytes under another name."""
    return layout.attestation(Digest.of(b"another name")), bundle


def spaced(bundle: bytes) -> tuple[Key, bytes]:
    """The same JSON with a space more."""
    content = bundle.replace(b'"tlogEntries":[]', b'"tlogEntries": []')
    return layout.attestation(Digest.of(content)), content


def signed_otherwise(bundle: bytes) -> tuple[Key, bytes]:
    """The other signature that anybody can make of one: (r, n - s)."""
    envelope = Bundle.parse(bundle).envelope
    r, s = utils.decode_dss_signature(envelope.signatures[0].sig)
    other = Signature(utils.encode_dss_signature(r, P256_ORDER - s), envelope.signatures[0].keyid)
    content = Bundle.of(Envelope(PAYLOAD_TYPE, envelope.payload, (other,))).to_bytes()
    return layout.attestation(Digest.of(content)), content


def hinted(bundle: bytes) -> tuple[Key, bytes]:
    """The same signature with another hint, which nobody signed."""
    envelope = Bundle.parse(bundle).envelope
    other = Signature(envelope.signatures[0].sig, "SHA256:another")
    content = Bundle.of(Envelope(PAYLOAD_TYPE, envelope.payload, (other,))).to_bytes()
    return layout.attestation(Digest.of(content)), content


@pytest.mark.parametrize("change", [copied, spaced, signed_otherwise, hinted])
async def test_a_bundle_that_is_written_otherwise_does_not_stop_the_signer(
    service: Service, fresh: Service, change: Callable[[bytes], tuple[Key, bytes]]
) -> None:
    await honest(service)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    planted, content = change(path.read_bytes())
    late = plant(service, planted, content)
    await looking(service).check(now=service.clock.now())
    after = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    os.utime(late, (after, after))
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [str(planted)]
    await looking(fresh).check(now=service.clock.now())
    assert report.counts["records signed"] == 1
