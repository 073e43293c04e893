"""Evidence made at run time, so that nothing of substance rests on vectors from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.digest import Digest
from provenance.bundle import Bundle
from provenance.dsse import Envelope
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.conformance.implementations import BUILDER

ARTIFACT = Digest.of(b"the wheel")
SOURCE = "git+https://git.example/team/app@refs/heads/main"
COMMIT = "c0ffee" + "0" * 34
BUILD_TYPE = "https://custody.example/buildtypes/step/v1"


def new_signer() -> LocalSigner:
    return LocalSigner.of(ec.generate_private_key(ec.SECP256R1()))


def statement(**changes: object) -> dict[str, Any]:
    """A provenance statement; `changes` replace members of the statement."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app.whl", "digest": {"sha256": ARTIFACT.hex}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": predicate(),
        **changes,
    }


def predicate(*, builder: str = BUILDER, label: object = "reported", **changes: object) -> dict[str, Any]:
    """The predicate; `changes` replace members of the build definition."""
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {
            "step": "build",
            "parameters": {"target": "wheel", "fast": True},
            "source": {"uri": SOURCE, "digest": {"gitCommit": COMMIT}},
        },
        "resolvedDependencies": [
            {"uri": "pkg:pypi/hatchling@1", "digest": {"sha256": "a" * 64}},
            {"uri": SOURCE, "digest": {"gitCommit": COMMIT}, "annotations": {"custody_origin": label}},
        ],
    }
    return {"buildDefinition": {**definition, **changes}, "runDetails": {"builder": {"id": builder}}}


def envelope(
    signer: LocalSigner, claim: Mapping[str, object] | bytes, payload_type: str = PAYLOAD_TYPE
) -> Envelope:
    payload = claim if isinstance(claim, bytes) else json.dumps(claim).encode()
    return sealed(payload_type, payload, signer)


def bundle(
    signer: LocalSigner, claim: Mapping[str, object] | bytes | None = None, payload_type: str = PAYLOAD_TYPE
) -> bytes:
    return Bundle.of(envelope(signer, statement() if claim is None else claim, payload_type)).to_bytes()


def pem(signer: LocalSigner) -> bytes:
    return signer.public_key.pem.encode()
