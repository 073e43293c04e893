"""A leaf is a hashedrekord of what was signed, proves itself, and is written in one way."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import EvidenceError
from provenance.bundle import Bundle
from provenance.log.leaf import Leaf
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE

SIGNER = LocalSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
BUNDLE = Bundle.of(sealed(PAYLOAD_TYPE, b"{}", SIGNER))
LEAF = Leaf.of(BUNDLE, SIGNER.public_key)


@given(st.binary(max_size=200))
def test_a_leaf_reads_back_and_its_signature_holds(payload: bytes) -> None:
    leaf = Leaf.of(Bundle.of(sealed(PAYLOAD_TYPE, payload, SIGNER)), SIGNER.public_key)
    assert Leaf.parse(leaf.to_bytes()) == leaf
    leaf.check()


def test_a_leaf_is_canonical_json_with_the_members_that_rekor_has() -> None:
    value = json.loads(LEAF.to_bytes())
    assert json.dumps(value, sort_keys=True, separators=(",", ":")).encode() == LEAF.to_bytes()
    body = value["spec"]["hashedRekordV002"]
    assert body["signature"]["verifier"]["publicKey"]["rawBytes"] == base64.b64encode(LEAF.spki).decode()


@given(st.integers(0, 8 * len(LEAF.to_bytes()) - 1))
def test_a_leaf_with_one_bit_flipped_does_not_hold(bit: int) -> None:
    raw = bytearray(LEAF.to_bytes())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        Leaf.parse(bytes(raw)).check()


@pytest.mark.parametrize(
    "entry", [b"", b"{}", b" " + LEAF.to_bytes(), LEAF.to_bytes() + b"\n", b"x" * 70_000]
)
def test_what_is_written_otherwise_is_no_leaf(entry: bytes) -> None:
    with pytest.raises(EvidenceError):
        Leaf.parse(entry)


def test_a_leaf_tells_a_digest_of_its_length() -> None:
    with pytest.raises(EvidenceError):
        Leaf.parse(replace(LEAF, digest=b"short").to_bytes())


def _spki(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "leaf",
    [
        replace(LEAF, digest=bytes(32)),
        replace(LEAF, signature=b"no signature"),
        replace(LEAF, spki=b"no key"),
        replace(LEAF, spki=_spki(ec.derive_private_key(8, ec.SECP256R1()).public_key())),
        replace(LEAF, spki=_spki(ec.derive_private_key(7, ec.SECP384R1()).public_key())),
        replace(LEAF, spki=_spki(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())),
    ],
)
def test_a_leaf_of_what_its_key_did_not_sign_does_not_hold(leaf: Leaf) -> None:
    with pytest.raises(EvidenceError):
        Leaf.parse(leaf.to_bytes()).check()
