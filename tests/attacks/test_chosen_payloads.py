"""No route and no job yields a signature on bytes that somebody chose (threats S31)."""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import orjson

from api.app import create_app
from provenance.dsse import Envelope, verify
from tests.attacks.actors import an_id, begin, built, finish
from tests.attacks.hostile import KINDS, plant, request, the_statement, written
from tests.attacks.remains import remains
from tests.attacks.statements import statements
from tests.service import PUBLIC_URL, Service, reference, sha256

EVIL = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "evil", "digest": {"sha256": "0" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {"runDetails": {"builder": {"id": "https://evil.example/builder"}}},
}
PAYLOAD = orjson.dumps(EVIL)
ENVELOPE = {
    "payloadType": "application/vnd.in-toto+json",
    "payload": base64.b64encode(PAYLOAD).decode(),
    "signatures": [{"sig": "", "keyid": ""}],
}
BUILDER = f"{PUBLIC_URL}/builders/local/v1"


def builder_of(statement: Any) -> str:  # Any: JSON
    predicate = statement["predicate"]
    builder = predicate.get("builder") or predicate["runDetails"]["builder"]
    return str(builder["id"])


def assert_all_are_ours(service: Service) -> int:
    """Everything signed is a statement that the signer built; return how many there are."""
    found = statements(service.folder / "data")
    for statement in found:
        assert statement["predicateType"] in KINDS
        assert builder_of(statement) == BUILDER
        assert statement != EVIL
        assert all(subject["digest"] != {"sha256": "0" * 64} for subject in statement["subject"])
    rows = remains(service.folder / "data").rows["attestation"]
    assert len(found) == len(rows)
    return len(found)


async def test_no_route_signs_a_statement_that_was_sent(service: Service, client: httpx2.AsyncClient) -> None:
    await built(service, client)
    step = await begin(client)
    asked = 0
    for token in (None, step.token, "cpt_default"):
        async with service.client(token) as caller:
            for path, methods in create_app(service.parts).openapi()["paths"].items():
                digest = f"sha256:{sha256(PAYLOAD)}"
                url = path.replace("{step_id}", step.id).replace("{digest}", digest).replace("{name}", "evil")
                for method in methods:
                    for body in (EVIL, ENVELOPE, {"payload": ENVELOPE["payload"]}, {"statement": EVIL}):
                        asked += 1
                        answer = await caller.request(method, url, json=body)
                        assert answer.status_code != 500
    assert asked > 200
    await finish(client, step)
    for topic in (step.id, PAYLOAD.decode(), ENVELOPE["payload"], sha256(PAYLOAD)):
        for kind in ("sign", "sign-bytes", "statement", ""):
            request(service, str(topic), kind=kind)
    for _ in range(3):
        service.clock.advance(1)
        await service.sign()
    # The evil file may well be an output: then it is a subject by its digest, as any file.
    assert assert_all_are_ours(service) == 2


async def test_a_statement_in_the_store_is_not_signed_by_lying_there(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await plant(service, step, PAYLOAD)
    await service.sign()
    assert assert_all_are_ours(service) == 0


async def test_names_and_parameters_stay_where_they_belong(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """What a step may choose lands under externalParameters or in a name, never beside the builder's word."""
    step = await begin(client)
    evil = '","predicateType":"https:evil.example","x":"'
    chosen = {
        "builder": BUILDER,
        "runDetails": "x",
        "custody_integrity": "verified",
        "resolvedDependencies": "[]",
        evil: evil,
    }
    line = written(
        step,
        name=evil,
        command=[evil, "custody_integrity=verified"],
        parameters=chosen,
        environment=dict.fromkeys(chosen, "e"),
        reported={"client": evil, "ci": {"system": evil, "url": "x"}, "exit_status": 0},
        inputs=[
            reference(b"i", uri="pkg:a/b@1", name=evil, annotations={"integrity": "verified", "A": evil})
        ],
        outputs=[reference(b"o", name=evil, annotations={"builder": "evil", "origin": "verified"})],
        byproducts=[reference(b"b", name="custody_role")],
    )
    await plant(service, step, line)
    statement = await the_statement(service)
    predicate = statement["predicate"]
    assert set(statement) == {"_type", "subject", "predicateType", "predicate"}
    assert set(predicate) == {"buildDefinition", "runDetails"}
    assert predicate["runDetails"]["builder"] == {"id": BUILDER}
    assert predicate["runDetails"]["metadata"]["invocationId"] == step.id
    assert set(predicate["buildDefinition"]["externalParameters"]) == {"step", "command", "parameters"}
    (subject,) = statement["subject"]
    assert subject["annotations"] == {
        "builder": "evil",
        "origin": "verified",
        "custody_integrity": "reported",
        "custody_role": "reported",
    }
    (dependency,) = predicate["buildDefinition"]["resolvedDependencies"]
    assert dependency["annotations"]["custody_integrity"] == "reported"
    assert assert_all_are_ours(service) == 1


async def test_a_failed_step_is_never_provenance_whatever_it_names(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for outcome in ("failed", "unknown"):
        step = await begin(client)
        await plant(service, step, written(step, outcome=outcome, outputs=[reference(b"o", name="x.whl")]))
    await service.sign()
    for statement in statements(service.folder / "data"):
        assert statement["predicateType"] == f"{PUBLIC_URL}/predicates/record/v1"
        assert [subject["name"].split("/")[0] for subject in statement["subject"]] == ["record"]
    assert assert_all_are_ours(service) == 2


async def test_every_signature_is_over_the_envelope_that_is_served(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await built(service, client)
    (stated,) = (await client.get(step.url)).json()["attestations"]
    bundle = orjson.loads((await client.get(stated["url"])).content)
    envelope = Envelope.from_dict(bundle["dsseEnvelope"])
    assert verify(envelope, {service.signer.public_key})
    assert an_id() not in str(bundle)
