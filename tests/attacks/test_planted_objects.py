"""Whoever writes to the bucket plants, swaps and moves objects, then the index is filled from it.

Nothing planted is believed or served, everything left out is named, and what was honest
before is there afterwards.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.queries import tokens
from artifacts.seal import Seal
from provenance import dsse
from provenance.attest import BUILDER
from provenance.bundle import Bundle
from provenance.published_keys import publish
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import an_id
from tests.attacks.planting import AT, MEMBERS, a_line, a_segment, changed, honest, plant, status
from tests.reindex.corpus import believing, journal_tokens, objects, reindex
from tests.service import PUBLIC_URL, TOKENS, Service, sha256


async def test_a_record_that_nobody_signed_is_not_believed(service: Service, fresh: Service) -> None:
    await honest(service)
    step = an_id()
    line = a_line(step)
    planted = a_segment(step, line)
    plant(service, planted, line + b"\n")
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [f"{planted}#0"]
    assert await fresh.sign() == 0
    assert await status(fresh, f"/v1/steps/{step}") == 404
    assert await status(fresh, f"/v1/artifacts/sha256:{sha256(b'planted')}") == 404


async def test_a_seal_by_another_key_is_no_seal(service: Service, fresh: Service, tmp_path: Path) -> None:
    await honest(service)
    foreign = Seal.open_or_create(tmp_path / "foreign.key")
    step = an_id()
    line = a_line(step)
    plant(service, foreign.put_on(a_segment(step, line)), line + b"\n")
    fact = {"fact": "token", "id": an_id(), "project": "default", "label": "x"}
    token = {**fact, "sha256": tokens.hashed("cpt_back_door").hex(), "recorded_at": MEMBERS["began_at"]}
    text = json.dumps(token).encode() + b"\n"
    plant(service, foreign.put_on(layout.journal("default", an_id(), Digest.of(text), AT)), text)
    report = await reindex(fresh)
    assert len(report.quarantined) == 2
    assert await status(fresh, "/v1/artifacts?name=x", "cpt_back_door") == 401
    assert await status(fresh, "/v1/artifacts?name=x") == 200


async def test_without_seals_the_operator_has_to_say_so(service: Service, fresh: Service) -> None:
    await honest(service)
    text = b'{"fact":"run","id":"%s","name":"x","principal":"token:x","recorded_at":"%s"}\n' % (
        an_id().encode(),
        b"2026-11-22T10:00:00.000Z",
    )
    plant(service, layout.journal("default", an_id(), Digest.of(text), AT), text)
    assert not (await reindex(fresh)).clean
    assert (await reindex(fresh, believed=believing(fresh, unsealed=True))).clean
    assert len((await reindex(fresh, believed=believing(fresh, seal=None))).quarantined) == 3


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"not JSON",
        b'{"fact":"run"}',
        b'{"fact":"reference","principal":"x","recorded_at":"yesterday","reference":{"digest":{}}}',
        b'{"fact":"reference","principal":"x","recorded_at":"2026-11-22T10:00:00Z","reference":{"digest":{}}}',
        b'{"fact":"revocation","token":"x","recorded_at":"2026-11-22T10:00:00Z"}',
        b'{"fact":"token","id":"01K","label":"x","project":"other","recorded_at":"2026-11-22T10:00:00Z",'
        b'"sha256":"aa"}',
    ],
)
async def test_a_fact_that_is_none_takes_its_whole_file_with_it(
    service: Service, fresh: Service, line: bytes
) -> None:
    await honest(service)
    good = {"fact": "run", "id": an_id(), "name": "r", "principal": "token:x"}
    text = json.dumps({**good, "recorded_at": MEMBERS["began_at"]}).encode() + b"\n" + line + b"\n"
    key = service.seal.put_on(layout.journal("default", an_id(), Digest.of(text), AT))
    plant(service, key, text)
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [str(key)]
    assert report.counts["runs"] == 0


async def test_a_journal_file_with_other_content_does_not_count(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    for path in (objects(service) / "projects").rglob("journal/**/*.ndjson"):
        text = path.read_bytes().replace(tokens.hashed(TOKENS["default"]).hex().encode(), b"a" * 64)
        plant(service, str(path.relative_to(objects(service))), text)
    report = await reindex(fresh)
    assert len(report.quarantined) == 1
    assert await status(fresh, "/v1/artifacts?name=x") == 401


async def test_a_changed_bundle_does_not_count_and_its_record_is_not_signed_again(
    service: Service, fresh: Service
) -> None:
    step = await honest(service)
    path = changed(
        service, "attestations", lambda raw: raw.replace(b'"tlogEntries":[]', b'"tlogEntries": []')
    )
    report = await reindex(fresh)
    assert [Path(one.key).name for one in report.quarantined] == [path.name]
    assert report.held == [f"default/{step.id}"]
    assert await fresh.sign() == 0
    async with fresh.client() as client:
        page = (await client.get(step.url)).json()
    assert (page["state"], page["attestations"]) == ("sealed", [])
    assert "unknown key" in page["ledger"][-1]["reason"]


async def test_a_changed_signature_does_not_count(service: Service, fresh: Service) -> None:
    step = await honest(service)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    bundle = Bundle.parse(path.read_bytes())
    signature = bundle.envelope.signatures[0]
    other = dsse.Signature(signature.sig[:-1] + bytes([signature.sig[-1] ^ 1]), signature.keyid)
    forged = Bundle.of(dsse.Envelope(PAYLOAD_TYPE, bundle.envelope.payload, (other,))).to_bytes()
    path.unlink()
    plant(service, layout.attestation(Digest.of(forged)), forged)
    report = await reindex(fresh)
    assert report.held == [f"default/{step.id}"]
    assert "not signed" in report.quarantined[0].reason


async def test_a_key_that_only_the_bucket_offers_signs_nothing(
    service: Service, fresh: Service, tmp_path: Path
) -> None:
    await honest(service)
    attacker = LocalSigner.open_or_create(tmp_path / "attacker" / "key.pem")
    await publish(service.store, attacker.public_key, builder_id=PUBLIC_URL + BUILDER, at=AT)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    payload = Bundle.parse(path.read_bytes()).envelope.payload
    forged = Bundle.of(sealed(PAYLOAD_TYPE, payload, attacker)).to_bytes()
    plant(service, layout.attestation(Digest.of(forged)), forged)
    report = await reindex(fresh)
    assert sorted(one.reason for one in report.quarantined) == [
        "nobody here trusts this key; --trust-key does",
        "not signed by enough of the trusted keys",
    ]
    assert await status(fresh, f"/v1/attestations/{Digest.of(forged)}") == 404
    trusting = believing(fresh, keys=frozenset({attacker.public_key, fresh.signer.public_key}))
    report = await reindex(fresh, believed=trusting)
    # Both are trusted now: the statement that stands, stands.
    assert [one.reason for one in report.quarantined] == [
        "another statement of its builder about the same record is older"
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'{"_type": "x"}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"x",'
        b'"subject":[{"digest":{"sha256":"%s"}}]}' % (b"a" * 64),
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"builder":{"id":"https://elsewhere/b"},'
        b'"record":{"step":"x"}},"predicateType":"http://custody.test/predicates/record/v1",'
        b'"subject":[{"digest":{"sha256":"%s"}}]}' % (b"a" * 64),
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"builder":{"id":"http://custody.test/builders/'
        b'local/v1"},"record":{"step":"x"}},"predicateType":"http://custody.test/predicates/record/v1",'
        b'"subject":[{"digest":{"sha1":"%s"}}]}' % (b"a" * 40),
    ],
)
async def test_what_our_own_key_signed_must_still_be_a_statement_of_a_record(
    service: Service, fresh: Service, payload: bytes
) -> None:
    await honest(service)
    signed = Bundle.of(sealed(PAYLOAD_TYPE, payload, service.signer)).to_bytes()
    plant(service, layout.attestation(Digest.of(signed)), signed)
    of_type = Bundle.of(sealed("text/plain", payload, service.signer)).to_bytes()
    plant(service, layout.attestation(Digest.of(of_type)), of_type)
    report = await reindex(fresh)
    assert len(report.quarantined) == 2
    assert report.counts["records signed"] == 1


async def test_a_signed_record_in_another_project_is_not_that_projects(
    service: Service, fresh: Service
) -> None:
    step = await honest(service)
    (path,) = (objects(service) / "projects/default/records").rglob("*.ndjson")
    moved = objects(service) / str(path.relative_to(objects(service))).replace("default", "other")
    moved.parent.mkdir(parents=True)
    shutil.copy(path, moved)
    report = await reindex(fresh)
    assert [one.reason for one in report.quarantined] == ["the record is of another project"]
    assert await status(fresh, step.url, TOKENS["other"]) == 404
    assert await status(fresh, step.url) == 200


async def test_a_sealed_record_of_another_project_or_format_does_not_count(
    service: Service, fresh: Service
) -> None:
    await honest(service)
    for line in (a_line(an_id(), "other"), b"{}", a_line(an_id(), finished_at="soon")):
        plant(service, service.seal.put_on(a_segment(an_id(), line)), line + b"\n")
    report = await reindex(fresh)
    assert len(report.quarantined) == 3
    assert report.counts["records"] == 1


async def test_of_two_sealed_records_of_one_step_neither_counts_and_none_beside_a_signed_one(
    service: Service, fresh: Service
) -> None:
    signed = await honest(service)
    torn = an_id()
    for step, name in ((torn, "one"), (torn, "two"), (signed.id, "three")):
        line = a_line(step, name=name)
        plant(service, service.seal.put_on(a_segment(step, line)), line + b"\n")
    report = await reindex(fresh)
    reasons = sorted(one.reason for one in report.quarantined)
    assert reasons == ["another record of its step stands", *["two records are of one step"] * 2]
    assert await status(fresh, f"/v1/steps/{torn}") == 404
    assert await fresh.sign() == 0


async def test_a_changed_segment_still_gives_what_is_signed_and_nothing_else(
    service: Service, fresh: Service
) -> None:
    step = await honest(service)
    planted = an_id()
    changed(service, "projects/default/records", lambda raw: raw + a_line(planted) + b"\n")
    report = await reindex(fresh)
    assert len(report.quarantined) == 2
    assert await status(fresh, step.url) == 200
    assert await status(fresh, f"/v1/steps/{planted}") == 404


async def test_a_statement_about_another_step_does_not_count(service: Service, fresh: Service) -> None:
    await honest(service)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    payload = Bundle.parse(path.read_bytes()).envelope.payload
    statement = json.loads(payload)
    step = statement["predicate"]["runDetails"]["metadata"]["invocationId"]
    other = payload.replace(step.encode(), an_id().encode())
    path.unlink()
    bundle = Bundle.of(sealed(PAYLOAD_TYPE, other, service.signer)).to_bytes()
    plant(service, layout.attestation(Digest.of(bundle)), bundle)
    report = await reindex(fresh)
    assert [one.reason for one in report.quarantined] == ["its statement is about another step"]


async def test_two_signed_records_of_one_step_are_not_both_filed(service: Service, fresh: Service) -> None:
    step = await honest(service)
    await reindex(fresh)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    payload = Bundle.parse(path.read_bytes()).envelope.payload
    metadata = json.loads(payload)["predicate"]["runDetails"]["metadata"]
    line = a_line(step.id, name="another")
    other = payload.replace(metadata["custody_record"].encode(), str(Digest.of(line)).encode())
    bundle = Bundle.of(sealed(PAYLOAD_TYPE, other, service.signer)).to_bytes()
    plant(service, layout.attestation(Digest.of(bundle)), bundle)
    plant(service, a_segment(step.id, line), line + b"\n")
    report = await reindex(fresh, resume=True)
    assert [one.reason for one in report.quarantined] == ["another record of its step stands"]
    assert report.without_record == [str(Digest.of(bundle))]


async def test_a_statement_whose_record_is_gone_is_listed(service: Service, fresh: Service) -> None:
    step = await honest(service)
    shutil.rmtree(objects(service) / "projects" / "default" / "records")
    report = await reindex(fresh)
    assert len(report.without_record) == 1
    assert not report.clean
    assert await status(fresh, step.url) == 404
