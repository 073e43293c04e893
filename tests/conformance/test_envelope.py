"""Envelopes and bundles made here: every encoding of a good one, no encoding of a bad one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from hypothesis import given
from hypothesis import strategies as st

from provenance.bundle import BUNDLE_V03, Bundle
from provenance.dsse import Envelope, Signature, pae
from provenance.keys import PublicKey
from tests.conformance import samples
from tests.conformance.implementations import BOTH, CLIENT, SERVICE, Implementation

MESSAGE = b"a message"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["P-256", "P-384"])
def test_der_and_raw_low_and_high_s_are_all_accepted(side: Implementation, curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    digest = hashes.SHA256() if curve.key_size == 256 else hashes.SHA384()
    key = side.keys.PublicKey.from_pem(_pem(private))
    der = private.sign(MESSAGE, ec.ECDSA(digest))
    r, s = utils.decode_dss_signature(der)
    width = curve.key_size // 8
    assert key.verify(der, MESSAGE)
    assert key.verify(r.to_bytes(width, "big") + s.to_bytes(width, "big"), MESSAGE)
    assert not key.verify(der, MESSAGE + b"!")
    assert not key.verify(b"\0" * 2 * width, MESSAGE)
    assert not key.verify(b"", MESSAGE)
    if curve.key_size == 256:
        other = utils.encode_dss_signature(r, P256_ORDER - s)
        assert key.verify(other, MESSAGE)
        assert other != der


def test_ed25519_is_accepted(side: Implementation) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = side.keys.PublicKey.from_pem(_pem(private))
    assert key.verify(private.sign(MESSAGE), MESSAGE)
    assert not key.verify(private.sign(MESSAGE), b"another")
    assert not key.verify(b"short", MESSAGE)


def test_other_kinds_of_key_are_refused(side: Implementation) -> None:
    wrong = [
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP521R1())),
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"",
        b"\xff" * 10_000,
    ]
    for pem in wrong:
        with pytest.raises(side.refused):
            side.keys.PublicKey.from_pem(pem)


def test_a_key_is_the_same_however_it_is_written(side: Implementation) -> None:
    pem = samples.pem(samples.new_signer())
    key = side.keys.PublicKey.from_pem(pem)
    same = side.keys.PublicKey.from_pem(b"a comment\n" + pem.replace(b"\n", b"\r\n"))
    assert key == same
    assert len({key, same}) == 1
    assert key.pem.encode() == pem
    assert key.keyid.startswith("SHA256:")
    assert "=" not in key.keyid


def test_the_service_names_its_algorithms() -> None:
    pems = [_pem(ec.generate_private_key(curve)) for curve in (ec.SECP256R1(), ec.SECP384R1())]
    pems.append(_pem(ed25519.Ed25519PrivateKey.generate()))
    assert [PublicKey.from_pem(pem).algorithm for pem in pems] == [
        "ecdsa-p256-sha256",
        "ecdsa-p384-sha384",
        "ed25519",
    ]


@given(st.binary(max_size=200), st.sampled_from(BOTH))
def test_both_alphabets_decode_and_one_value_has_one_spelling(content: bytes, side: Implementation) -> None:
    decode = _decode(side)
    standard = base64.b64encode(content).decode()
    assert decode(standard) == decode(base64.urlsafe_b64encode(content).decode()) == content
    if standard.endswith("="):
        with pytest.raises(side.refused):
            decode(standard.rstrip("="))
    with pytest.raises(side.refused):
        decode(standard + "\n")


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ=", "QQ==QQ==", "+-==", "/_//", "Q Q=", "é", "=", None, 3])
def test_a_second_spelling_is_refused(side: Implementation, text: object) -> None:
    with pytest.raises(side.refused):
        _decode(side)(text)


def _decode(side: Implementation) -> Callable[[object], bytes]:
    def decode(text: object) -> bytes:
        value = {"payload": text, "payloadType": "t", "signatures": [{"sig": ""}]}
        return bytes(side.dsse.Envelope.from_dict(value).payload)

    return decode


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"payload": "", "payloadType": "t"},
        {"payload": "", "payloadType": "t", "signatures": []},
        {"payload": "", "payloadType": "", "signatures": [{"sig": ""}]},
        {"payload": "", "payloadType": 1, "signatures": [{"sig": ""}]},
        {"payload": "", "payloadType": "t", "signatures": {"sig": ""}},
        {"payload": "", "payloadType": "t", "signatures": ["sig"]},
        {"payload": "", "payloadType": "t", "signatures": [{"keyid": "x"}]},
        {"payload": "", "payloadType": "t", "signatures": [{"sig": "", "keyid": 1}]},
        {"payload": "", "payloadType": "t", "signatures": [{"sig": ""}] * 33},
        {"payload": 1, "payloadType": "t", "signatures": [{"sig": ""}]},
    ],
)
def test_what_is_no_envelope_is_refused(side: Implementation, value: object) -> None:
    with pytest.raises(side.refused):
        side.read(json.dumps(value).encode())


def test_keyids_are_neither_needed_nor_believed(side: Implementation) -> None:
    signer, other = samples.new_signer(), samples.new_signer()
    key = side.keys.PublicKey.from_pem(samples.pem(signer))
    for keyid in ({}, {"keyid": ""}, {"keyid": None}, {"keyid": other.public_key.keyid}):
        value = samples.envelope(signer, b"{}").to_dict()
        value["signatures"] = [{"sig": value["signatures"][0]["sig"], **keyid}]  # type: ignore[index,call-overload] # JSON of our own making
        assert side.dsse.verify(side.read(json.dumps(value).encode()), [key]) == {key}


def test_keys_are_counted_and_not_signatures(side: Implementation) -> None:
    one, two = samples.new_signer(), samples.new_signer()
    message = pae("t", b"x")
    keys = [side.keys.PublicKey.from_pem(samples.pem(signer)) for signer in (one, two)]
    twice = Envelope("t", b"x", (one.sign(message), one.sign(message)))
    both = Envelope("t", b"x", (Signature(b"junk"), one.sign(message), two.sign(message)))
    assert len(side.dsse.verify(_reread(side, both), keys, 2)) == 2
    with pytest.raises(side.refused):
        side.dsse.verify(_reread(side, twice), keys + keys, 2)
    with pytest.raises((ValueError, side.refused)):
        side.dsse.verify(_reread(side, both), keys, 0)


def _reread(side: Implementation, envelope: Envelope) -> Any:
    return side.dsse.Envelope.parse(json.dumps(envelope.to_dict()).encode())


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.binary(), st.sampled_from(BOTH))
def test_an_envelope_reads_back_as_it_was_written(kind: str, payload: bytes, side: Implementation) -> None:
    envelope = Envelope(kind, payload, (Signature(b"s", "SHA256:x"),))
    read = _reread(side, envelope)
    assert (read.payload_type, read.payload) == (kind, payload)
    assert (read.signatures[0].sig, read.signatures[0].keyid) == (b"s", "SHA256:x")
    assert side.dsse.pae(kind, payload) == pae(kind, payload)
    assert pae(kind, payload).startswith(b"DSSEv1 %d " % len(kind.encode()))


def test_a_bundle_reads_back_and_is_written_the_same_again() -> None:
    raw = samples.bundle(samples.new_signer())
    assert Bundle.parse(raw).to_bytes() == raw
    assert b" " not in raw
    assert json.loads(raw)["mediaType"] == BUNDLE_V03


def _changed(**changes: object) -> bytes:
    bundle = json.loads(samples.bundle(samples.new_signer()))
    bundle.update(changes)
    return json.dumps(bundle).encode()


def _with_material(material: object) -> bytes:
    return _changed(verificationMaterial=material)


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_older_spellings_of_the_media_type_are_read(side: Implementation, version: str) -> None:
    raw = _changed(mediaType=f"application/vnd.dev.sigstore.bundle+json;version={version}")
    assert side.bundle.Bundle.parse(raw).hint


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        _changed(mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"),
        _changed(mediaType=None),
        _changed(mediaType=[]),
        _changed(extra=1),
        _changed(dsseEnvelope=None),
        _changed(messageSignature={}),
        _with_material(None),
        _with_material({}),
        _with_material({"publicKey": {"hint": "other"}}),
        _with_material({"publicKey": {"hint": 1}}),
        _with_material({"publicKey": {"hint": "x", "rawBytes": "QQ=="}}),
        _with_material({"publicKey": {}, "certificate": {"rawBytes": "QQ=="}}),
        _with_material({"certificate": {}}),
        _with_material({"certificate": {"rawBytes": "Q"}}),
        _with_material({"x509CertificateChain": {"certificates": []}}),
        _with_material({"x509CertificateChain": {"certificates": {}}}),
        _with_material({"certificate": {"rawBytes": "QQ=="}, "tlogEntries": [1]}),
        _with_material({"certificate": {"rawBytes": "QQ=="}, "tlogEntries": [{}] * 33}),
        _with_material({"certificate": {"rawBytes": "QQ=="}, "timestampVerificationData": []}),
        _with_material({"certificate": {"rawBytes": "QQ=="}, "unknown": []}),
    ],
)
def test_what_is_no_bundle_is_refused(side: Implementation, raw: bytes) -> None:
    with pytest.raises(side.refused):
        side.bundle.Bundle.parse(raw)


def test_certificates_are_kept_and_not_judged(side: Implementation) -> None:
    one = side.bundle.Bundle.parse(_with_material({"certificate": {"rawBytes": "QQ=="}}))
    chain = {"certificates": [{"rawBytes": "QQ=="}, {"rawBytes": "Qg=="}]}
    two = side.bundle.Bundle.parse(_with_material({"x509CertificateChain": chain, "tlogEntries": None}))
    assert (one.hint, one.certificates) == (None, (b"A",))
    assert two.certificates == (b"A", b"B")


def test_a_certificate_and_its_timestamp_are_written_again() -> None:
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": "QQ=="}]}
    raw = _with_material({"certificate": {"rawBytes": "QQ=="}, "timestampVerificationData": stamps})
    bundle = Bundle.parse(raw)
    assert Bundle.parse(bundle.to_bytes()) == bundle
    assert bundle.timestamps == (b"A",)


def test_an_envelope_without_or_with_two_signatures_makes_no_bundle() -> None:
    signature = samples.new_signer().sign(b"x")
    for signatures in ((), (signature, signature)):
        with pytest.raises(SERVICE.refused):
            Bundle.of(Envelope("t", b"", signatures))


def test_the_service_reads_envelopes_bare_and_bundled() -> None:
    envelope = samples.envelope(samples.new_signer(), b"{}")
    assert SERVICE.read(json.dumps(envelope.to_dict()).encode()) == envelope
    assert SERVICE.read(Bundle.of(envelope).to_bytes()) == envelope


def test_the_client_reads_several_lines_and_pretty_printed_text() -> None:
    bundle = samples.bundle(samples.new_signer())
    bare = json.dumps(json.loads(bundle)["dsseEnvelope"]).encode()
    assert len(CLIENT.bundle.read_envelopes(bundle + b"\n\n" + bare + b"\n")) == 2
    assert len(CLIENT.bundle.read_envelopes(json.dumps(json.loads(bundle), indent=2).encode())) == 1
    for raw in (b"", b"not json", bare + b"\nnot json", b"\n".join([bare] * 1001)):
        with pytest.raises(CLIENT.refused):
            CLIENT.bundle.read_envelopes(raw)
