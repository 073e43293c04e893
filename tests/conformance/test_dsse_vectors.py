"""DSSE: the specification's own vector, and two dozen cases that verifiers get wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils

from provenance.dsse import Envelope, Signature, pae
from provenance.signers.local import LocalSigner
from tests.conformance import vectors as given
from tests.conformance.implementations import Implementation

pytestmark = pytest.mark.foreign_vectors
PROTOCOL = "spec-vectors/dsse-protocol.json"
CASES = "spec-vectors/dsse-cases.json"


def _protocol_key(vector: dict[str, Any]) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int(vector["ecdsaP256"]["d"]), ec.SECP256R1())


def test_the_encoding_is_that_of_the_specification(side: Implementation) -> None:
    vector = given.load(PROTOCOL)
    assert side.dsse.pae(vector["payloadType"], vector["payload"].encode()) == vector["pae"].encode()


def test_signing_reproduces_the_signature_of_the_specification() -> None:
    vector = given.load(PROTOCOL)
    message = pae(vector["payloadType"], vector["payload"].encode())
    r, s = utils.decode_dss_signature(LocalSigner.of(_protocol_key(vector)).sign(message).sig)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert base64.b64encode(raw).decode() == vector["sigRawBase64Rfc6979Sha256"]


def test_the_raw_signature_of_the_specification_is_accepted(side: Implementation) -> None:
    vector = given.load(PROTOCOL)
    numbers = _protocol_key(vector).public_key().public_numbers()
    assert (str(numbers.x), str(numbers.y)) == (vector["ecdsaP256"]["x"], vector["ecdsaP256"]["y"])
    pem = LocalSigner.of(_protocol_key(vector)).public_key.pem.encode()
    sig = Signature(base64.b64decode(vector["sigRawBase64Rfc6979Sha256"]))
    envelope = Envelope(vector["payloadType"], vector["payload"].encode(), (sig,))
    parsed = side.dsse.Envelope.parse(json.dumps(envelope.to_dict()).encode())
    assert side.dsse.verify(parsed, [side.keys.PublicKey.from_pem(pem)])


def _accepts(side: Implementation, case: dict[str, Any]) -> bool:
    pems = given.load(CASES)["keys"]
    keys = [side.keys.PublicKey.from_pem(pems[name].encode()) for name in case["keys"]]
    try:
        envelope = side.dsse.Envelope.parse(json.dumps(case["envelope"]).encode())
        return bool(side.dsse.verify(envelope, keys, case["threshold"]))
    except side.refused:
        return False


@pytest.mark.parametrize("case", given.cases(CASES))
def test_a_signature_is_judged_as_the_protocol_demands(side: Implementation, case: dict[str, Any]) -> None:
    given.load(CASES)
    # What is signed well and refused for what it says is the business of the next test.
    signed = case["expect"] in {"accept", "reject-type", "policy-reject"}
    assert _accepts(side, case) is signed, case["why"]


@pytest.mark.parametrize("case", given.cases(CASES))
def test_only_supported_and_unambiguous_payloads_reach_the_subject_check(
    side: Implementation, case: dict[str, Any]
) -> None:
    pems = given.load(CASES)["keys"]
    raw = json.dumps(case["envelope"]).encode()
    try:
        outcome = side.verify(raw, [pems[name].encode() for name in case["keys"]], "sha256:" + "0" * 64, {})
    except side.refused:
        assert case["expect"] == "reject"
        return
    expected = {
        "accept": {"subject"},
        "reject-type": {"payload type"},
        "policy-reject": {"statement"},
        "reject": {"signature"},
    }
    if case["threshold"] == 1:
        assert outcome.failed == expected[case["expect"]], case["why"]
    assert not outcome.verified
