"""The log by other people's vectors: RFC 6962 proofs, a signed note, entries that sigstore-js takes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from artifacts.errors import EvidenceError
from custody.evidence import bundle as client_bundle
from custody.evidence import keys as client_keys
from custody.evidence.errors import EvidenceError as ClientEvidenceError
from custody.evidence.log import checkpoint as client_checkpoint
from custody.evidence.log import leaf as client_leaf
from custody.evidence.log import merkle as client_merkle
from custody.evidence.log import notes as client_notes
from custody.evidence.log import proofs as client_proofs
from provenance import bundle, keys
from provenance.log import checkpoint, leaf, merkle, notes, proofs
from tests.conformance.vectors import ROOT, files, load


class _Service:
    refused: type[Exception] = EvidenceError
    proofs, notes, checkpoint, leaf, merkle, bundle, keys = (
        proofs,
        notes,
        checkpoint,
        leaf,
        merkle,
        bundle,
        keys,
    )


class _Client:
    refused: type[Exception] = ClientEvidenceError
    proofs, notes, checkpoint = client_proofs, client_notes, client_checkpoint
    leaf, merkle, bundle, keys = client_leaf, client_merkle, client_bundle, client_keys


# Both sides have modules with the same names in them; `Any` lets one test hold either.
both = pytest.mark.parametrize("side", [_Service, _Client], ids=["service", "client"])


def _raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@both
@pytest.mark.parametrize("path", files("rfc6962", "inclusion/**/*.json"))
def test_inclusion_proofs_are_judged_as_the_vectors_say(side: Any, path: Path) -> None:
    case = json.loads(path.read_bytes())
    given = (
        case["leafIdx"],
        case["treeSize"],
        _raw(case["leafHash"]),
        [_raw(one) for one in case["proof"] or ()],
        _raw(case["root"]),
    )
    if case["wantErr"]:
        with pytest.raises(side.refused):
            side.proofs.check_inclusion(*given)
    else:
        side.proofs.check_inclusion(*given)


@both
@pytest.mark.parametrize("path", files("rfc6962", "consistency/**/*.json"))
def test_consistency_proofs_are_judged_as_the_vectors_say(side: Any, path: Path) -> None:
    case = json.loads(path.read_bytes())
    given = (
        case["size1"],
        case["size2"],
        _raw(case["root1"]),
        _raw(case["root2"]),
        [_raw(one) for one in case["proof"] or ()],
    )
    if case["wantErr"]:
        with pytest.raises(side.refused):
            side.proofs.check_consistency(*given)
    else:
        side.proofs.check_consistency(*given)


@both
def test_the_note_of_the_specification_is_accepted_to_the_last_letter(side: Any) -> None:
    vector = load("spec-vectors/signed-note.json")
    key = side.notes.NoteKey.parse(vector["vkey"])
    assert key.text == vector["vkey"]
    raw = vector["note"].encode()
    note = side.notes.Note.parse(raw)
    assert note.to_bytes() == raw
    assert note.verify([key]) == {key}
    with pytest.raises(side.refused):
        side.notes.Note.parse(raw.replace(b"example message", b"exampel message")).verify([key])


@both
def test_the_leaf_of_a_bundle_is_the_entry_that_sigstore_js_takes(side: Any) -> None:
    folder = ROOT / "generated" / "managed-key-with-log"
    value = load("generated/managed-key-with-log/mk_log_only.json")
    [entry] = value["verificationMaterial"]["tlogEntries"]
    parsed = side.bundle.Bundle.parse((folder / "mk_log_only.json").read_bytes())
    own = side.leaf.Leaf.of(parsed, side.keys.PublicKey.from_pem((folder / "k.pub").read_bytes()))
    body = _raw(entry["canonicalizedBody"])
    assert own.to_bytes() == body
    own.check()
    assert side.leaf.Leaf.parse(body) == own

    [log] = load("generated/managed-key-with-log/trusted_root.json")["tlogs"]
    raw = load_der_public_key(_raw(log["publicKey"]["rawBytes"])).public_bytes_raw()  # type: ignore[union-attr]  # the key of this log is an Ed25519 key
    proof = entry["inclusionProof"]
    key = side.notes.NoteKey("127.0.0.1:39091", raw)
    found = side.checkpoint.Checkpoint.verified(proof["checkpoint"]["envelope"].encode(), key)
    side.proofs.check_inclusion(
        int(proof["logIndex"]),
        found.size,
        side.merkle.leaf_hash(body),
        [_raw(one) for one in proof["hashes"]],
        found.root,
    )
