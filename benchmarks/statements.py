"""P10: stating and signing, beside the bare signature."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.digest import Digest, DigestSet
from artifacts.records import Product, Record
from artifacts.refs import ArtifactRef
from artifacts.steps import Outcome
from benchmarks.results import Bar, Measured, Result, at_most
from benchmarks.rounds import Scale, interleaved, timed
from provenance import slsa
from provenance.dsse import pae
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.slsa import RecordLabels
from provenance.writer import PAYLOAD_TYPE, encode

_URL = "https://custody.example"
_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
_SUBJECTS, _DEPENDENCIES = 10, 20


def measure(scale: Scale) -> list[Result]:
    """Build the statement of one record and sign it; the peer signs the same bytes."""
    private = ec.generate_private_key(ec.SECP256R1())
    signer, record = LocalSigner.of(private), _record()
    digest, labels = Digest.of(b"the record"), RecordLabels.reported(record)

    def state() -> bytes:
        made = slsa.statement(
            record,
            record_digest=digest,
            builder_id=f"{_URL}/builders/local/v1",
            public_url=_URL,
            labels=labels,
        )
        return encode(made)

    message = pae(PAYLOAD_TYPE, state())
    # The bare signature is the one our signer makes (RFC 6979); the random one is a little quicker.
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    random = ec.ECDSA(hashes.SHA256())
    quicker = timed(lambda: private.sign(message, random), repeats=scale.repeats) * 1e6
    ours, peer = interleaved(
        lambda: timed(lambda: sealed(PAYLOAD_TYPE, state(), signer), repeats=scale.repeats),
        lambda: timed(lambda: private.sign(message, algorithm), repeats=scale.repeats),
        rounds=scale.rounds,
        factor=1e6,
    )
    work = f"build and sign a statement of {_SUBJECTS} subjects and {_DEPENDENCIES} dependencies"
    bare = Measured("ECDSA P-256 (RFC 6979) of the same bytes", peer, "µs")
    rates = tuple(1e6 / took for took in ours)
    bare_rates = Measured(bare.label, tuple(1e6 / took for took in peer), "/s")
    size = f"{len(message):,} bytes are signed; a signature with a random nonce takes {quicker:.1f} µs"
    return [
        Result("P10", work, Measured("state, encode, sign", ours, "µs"), bare, "none", [at_most(2)], [size]),
        Result(
            "P10",
            f"{work}, on one core",
            Measured("state, encode, sign", rates, "/s"),
            bare_rates,
            "none",
            [Bar(6_000, at_most=False, own=True)],
        ),
    ]


def _record() -> Record:
    def ref(name: str) -> ArtifactRef:
        return ArtifactRef(DigestSet.only(Digest.of(name.encode())), uri=f"pkg:generic/{name}@1.0", name=name)

    return Record(
        project="default",
        run="01K" + "0" * 23,
        step="01K" + "1" * 23,
        name="build",
        principal="token:first",
        via="step",
        outcome=Outcome.SUCCEEDED,
        began_at=_AT,
        finished_at=_AT,
        command=("make", "dist"),
        environment={"LANG": "C.UTF-8"},
        inputs=tuple(ref(f"input-{number}") for number in range(_DEPENDENCIES)),
        outputs=tuple(Product(ref(f"dist/output-{number}"), 4096) for number in range(_SUBJECTS)),
    )
