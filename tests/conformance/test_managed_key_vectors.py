"""Bundles and envelopes of a managed key that other people's verifiers accept or refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.digest import Digest
from tests.conformance import vectors as given
from tests.conformance.implementations import Implementation

pytestmark = pytest.mark.foreign_vectors
FOLDER = "generated/managed-key"
GOOD = [param for param in given.files(FOLDER, "*.sigstore.json") if "_fail" not in str(param.id)]
BAD = given.files(FOLDER, "*_fail.sigstore.json")
WITH_LOG = "generated/managed-key-with-log"


def _pem(bundle: Path) -> bytes:
    kind = bundle.name.split(".")[0].split("_")[0]
    known = {"ecdsa-p256", "ecdsa-p384", "ed25519"}
    return (bundle.parent / f"{kind if kind in known else 'ecdsa-p256'}.pub").read_bytes()


@pytest.mark.parametrize("path", GOOD)
def test_a_good_bundle_is_accepted(side: Implementation, path: Path, vectors: Path) -> None:
    assert side.verify_bundle(path.read_bytes(), _pem(path))


@pytest.mark.parametrize("path", GOOD)
def test_its_hint_is_the_fingerprint_of_the_key(side: Implementation, path: Path, vectors: Path) -> None:
    key = side.keys.PublicKey.from_pem(_pem(path))
    assert side.bundle.Bundle.parse(path.read_bytes()).hint == key.keyid


@pytest.mark.parametrize("path", BAD)
def test_a_bad_bundle_is_refused(side: Implementation, path: Path, vectors: Path) -> None:
    with pytest.raises(side.refused):
        side.verify_bundle(path.read_bytes(), _pem(path))


@pytest.mark.parametrize("path", given.files(FOLDER, "*.intoto.jsonl"))
def test_a_bare_envelope_is_accepted(side: Implementation, path: Path, vectors: Path) -> None:
    envelope = side.read(path.read_bytes())
    assert side.dsse.verify(envelope, [side.keys.PublicKey.from_pem(_pem(path))])


def test_a_good_bundle_verifies_for_its_artifact_and_no_other(side: Implementation, vectors: Path) -> None:
    raw = (vectors / FOLDER / "ecdsa-p256.sigstore.json").read_bytes()
    pem = (vectors / FOLDER / "ecdsa-p256.pub").read_bytes()
    artifact = str(Digest.of((vectors / FOLDER / "artifact.bin").read_bytes()))
    builder = side.statement.Statement.parse(side.read(raw).payload).predicate["runDetails"]["builder"]["id"]
    assert side.verify(raw, [pem], artifact, {}, builder).verified
    assert side.verify(raw, [pem], f"sha256:{'0' * 64}", {}, builder).failed == {"subject"}


def test_a_verification_summary_is_not_provenance(side: Implementation, vectors: Path) -> None:
    raw = (vectors / FOLDER / "vsa.intoto.jsonl").read_bytes()
    pem = (vectors / FOLDER / "ecdsa-p256.pub").read_bytes()
    artifact = str(Digest.of((vectors / FOLDER / "artifact.bin").read_bytes()))
    assert side.verify(raw, [pem], artifact, {}).failed == {"predicate"}


@pytest.mark.parametrize("path", given.files(WITH_LOG, "mk_*.json"))
def test_a_bundle_with_log_entry_or_timestamp_is_accepted(
    side: Implementation, path: Path, vectors: Path
) -> None:
    assert side.verify_bundle(path.read_bytes(), (vectors / WITH_LOG / "k.pub").read_bytes())


@pytest.mark.parametrize("path", given.files("generated/keyless-offline", "*.sigstore.json"))
def test_a_certificate_is_read_and_makes_nobody_trusted(
    side: Implementation, path: Path, vectors: Path
) -> None:
    bundle = side.bundle.Bundle.parse(path.read_bytes())
    assert bundle.hint is None
    assert len(bundle.certificates) == 1
    pem = (vectors / FOLDER / "ecdsa-p256.pub").read_bytes()
    with pytest.raises(side.refused):
        side.dsse.verify(bundle.envelope, [side.keys.PublicKey.from_pem(pem)])
