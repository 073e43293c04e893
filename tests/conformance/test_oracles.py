"""What we write, other people's Python libraries read; what they sign, we read."""

from __future__ import annotations

import json

import pytest

from tests.conformance import samples
from tests.conformance.implementations import Implementation


def test_securesystemslib_verifies_what_we_sign() -> None:
    from securesystemslib.dsse import Envelope as ForeignEnvelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined] # re-exported without saying so

    signer = samples.new_signer()
    ours = samples.envelope(signer, samples.statement())
    theirs = ForeignEnvelope.from_dict(ours.to_dict())
    key = SSlibKey(
        signer.public_key.keyid,
        "ecdsa",
        "ecdsa-sha2-nistp256",
        {"public": signer.public_key.pem},
    )
    assert theirs.verify([key], 1)
    theirs.payload += b" "
    with pytest.raises(VerificationError):
        theirs.verify([key], 1)


def test_what_securesystemslib_signs_is_verified(side: Implementation) -> None:
    from securesystemslib.dsse import Envelope as ForeignEnvelope
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined] # re-exported without saying so

    signer = CryptoSigner.generate_ecdsa()
    envelope = ForeignEnvelope(json.dumps(samples.statement()).encode(), "application/vnd.in-toto+json", {})
    envelope.sign(signer)
    raw = json.dumps(envelope.to_dict()).encode()
    pem = signer.public_key.keyval["public"].encode()
    assert side.verify(raw, [pem], str(samples.ARTIFACT), {}).verified
