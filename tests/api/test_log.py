"""The log over HTTP: checkpoint, tiles and proofs, of what the caller may see."""

from __future__ import annotations

import base64
import json

import pytest

from artifacts.digest import Digest
from provenance import dsse
from provenance.bundle import Bundle
from provenance.log.checkpoint import Checkpoint
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash
from provenance.log.notes import NoteKey
from provenance.log.proofs import check_inclusion
from provenance.log.prooftext import LogProof
from provenance.log.tiles import decode_entries
from tests.attacks.actors import built
from tests.control import DEFAULT, holding
from tests.service import TOKENS, Service

_OTHER = TOKENS["other"]


async def logged(service: Service, count: int = 3) -> list[str]:
    """The digests of so many bundles, oldest first."""
    digests = []
    async with service.client() as client:
        for number in range(count):
            step = await built(service, client, b"wheel %d" % number)
            page = (await client.get(step.url)).json()
            digests.append(page["attestations"][0]["digest"])
    await service.log()
    await service.publish_log_key()
    return digests


async def test_checkpoint_key_and_tiles_are_those_of_a_tiled_log(service: Service) -> None:
    await logged(service)
    async with service.client() as client:
        key = NoteKey.parse((await client.get("/v1/log/key")).text.strip())
        answer = await client.get("/v1/log/checkpoint")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        checkpoint = Checkpoint.verified(answer.content, key)
        assert checkpoint.size == 3
        hashes = await client.get("/v1/log/tile/0/000.p/3")
        entries = await client.get("/v1/log/tile/entries/000.p/3")
    assert hashes.headers["content-type"] == "application/octet-stream"
    assert "immutable" in hashes.headers["cache-control"]
    found = decode_entries(entries.content, 3)
    assert b"".join(map(leaf_hash, found)) == hashes.content
    assert key == service.appender().signer.key


async def test_before_anything_is_logged_there_is_no_checkpoint(service: Service) -> None:
    async with service.client() as client:
        answer = await client.get("/v1/log/checkpoint")
    assert answer.status_code == 404
    assert "nothing was logged" in answer.text


async def test_a_proof_shows_that_a_statement_is_logged(service: Service) -> None:
    digests = await logged(service)
    key = service.appender().signer.key
    async with service.client() as client:
        for number, digest in enumerate(digests):
            bundle = Bundle.parse((await client.get(f"/v1/attestations/{digest}")).content)
            leaf = Leaf.of(bundle, service.signer.public_key).to_bytes()
            text = (await client.get(f"/v1/log/proof/{digest}?format=text")).content
            proof = LogProof.parse(text)
            assert proof.index == number
            assert proof.verify(leaf, key).size == 3
            told = (await client.get(f"/v1/log/proof/{digest}")).json()
            assert base64.b64decode(told["leaf"]) == leaf
            assert (told["index"], told["tree_size"]) == (number, 3)
            assert [base64.b64decode(one) for one in told["hashes"]] == list(proof.hashes)
            assert told["checkpoint"].encode() == proof.checkpoint


async def test_a_decision_is_proven_by_the_digest_of_its_bundle(service: Service) -> None:
    await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    await service.sign_decisions()
    await service.log()
    (path,) = (service.folder / "data" / "objects" / "control" / "holds").rglob("*.json")
    async with service.client() as client:
        answer = await client.get(f"/v1/log/proof/{Digest.of(path.read_bytes())}")
    assert answer.json()["index"] == 0


async def test_a_bundle_carries_its_place_in_the_log_where_that_is_asked_for(service: Service) -> None:
    digests = await logged(service)
    async with service.client() as client:
        plain = await client.get(f"/v1/attestations/{digests[1]}")
        with_log = await client.get(f"/v1/attestations/{digests[1]}?with=log")
    bundle = Bundle.parse(with_log.content)
    assert dsse.verify(bundle.envelope, {service.signer.public_key})
    assert bundle.envelope == Bundle.parse(plain.content).envelope
    [entry] = json.loads(with_log.content)["verificationMaterial"]["tlogEntries"]
    proof = entry["inclusionProof"]
    note = proof["checkpoint"]["envelope"].encode()
    checkpoint = Checkpoint.verified(note, service.appender().signer.key)
    body = base64.b64decode(entry["canonicalizedBody"])
    hashes = [base64.b64decode(one) for one in proof["hashes"]]
    check_inclusion(1, 3, leaf_hash(body), hashes, checkpoint.root)
    assert base64.b64decode(proof["rootHash"]) == checkpoint.root
    assert base64.b64decode(entry["logId"]["keyId"])[:4] == service.appender().signer.key.key_id
    assert with_log.headers["cache-control"] == "no-cache"


async def test_nothing_is_proven_of_what_belongs_to_others_or_is_not_logged_yet(service: Service) -> None:
    [digest] = await logged(service, 1)
    async with service.client(_OTHER) as other:
        assert (await other.get(f"/v1/log/proof/{digest}")).status_code == 404
        assert (await other.get(f"/v1/attestations/{digest}?with=log")).status_code == 404
    async with service.client() as client:
        step = await built(service, client, b"later")
        later = (await client.get(step.url)).json()["attestations"][0]["digest"]
        answer = await client.get(f"/v1/log/proof/{later}")
        assert answer.status_code == 404
        assert "within a second" in answer.json()["hint"]


@pytest.mark.parametrize("path", ["checkpoint", "key", "tile/0/000", f"proof/sha256:{'0' * 64}"])
async def test_a_log_that_does_not_exist_yet_is_not_found(service: Service, path: str) -> None:
    async with service.client() as client:
        assert (await client.get(f"/v1/log/{path}")).status_code == 404
    async with service.client(None) as nobody:
        assert (await nobody.get(f"/v1/log/{path}")).status_code == 401


@pytest.mark.parametrize("path", ["0/0", "0/000.p/0", "%2e%2e/checkpoint", "9/000", "0/000/../001"])
async def test_what_names_no_tile_is_refused(service: Service, path: str) -> None:
    await logged(service, 1)
    async with service.client() as client:
        assert (await client.get(f"/v1/log/tile/{path}")).status_code in {404, 422}


async def test_a_published_key_that_is_damaged_is_not_given_out(service: Service) -> None:
    await logged(service, 1)
    path = service.folder / "data" / "objects" / "log" / "key"
    for content in (b"no key\n", b"\xff"):
        path.unlink()
        path.write_bytes(content)
        async with service.client() as client:
            assert (await client.get("/v1/log/key")).status_code == 500
