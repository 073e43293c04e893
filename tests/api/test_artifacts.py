"""Looking artifacts up, by digest, alias, URI and name; tracing them both ways."""

from __future__ import annotations

import httpx2
import pytest

from artifacts.digest import Digest
from artifacts.identifiers import new_ulid
from provenance.lineage import trace
from tests.service import Service, reference, sha256

pytestmark = pytest.mark.both_databases

COMMIT = "ab" * 20


async def record(
    service: Service, client: httpx2.AsyncClient, name: str, **members: object
) -> dict[str, str]:
    """Record a whole step a second after the last."""
    service.clock.advance(1)
    body = {"id": new_ulid(service.clock.now()), "name": name, "outcome": "succeeded", **members}
    answer = await client.post("/v1/records", json=body)
    assert answer.status_code == 201, answer.text
    page: dict[str, str] = answer.json()
    return page


def out(content: bytes) -> dict[str, object]:
    """One output, named after its content."""
    return {"outputs": [reference(content, name=content.decode())]}


def into(content: bytes) -> dict[str, object]:
    """One input, named after its content."""
    return {"inputs": [reference(content, name=content.decode())]}


async def chain(service: Service, client: httpx2.AsyncClient) -> list[dict[str, str]]:
    """raw -> split -> train -> serve, from a git commit."""
    source = {"uri": "git+https://git.example/o/r@refs/heads/main", "digest": {"gitCommit": COMMIT}}
    return [
        await record(service, client, "fetch", source=source, **out(b"raw")),
        await record(service, client, "split", **into(b"raw"), **out(b"part")),
        await record(service, client, "train", **into(b"part"), **out(b"model")),
        await record(service, client, "serve", **into(b"model"), **out(b"image")),
    ]


async def test_an_artifact_page_tells_who_made_and_who_used_it(
    service: Service, client: httpx2.AsyncClient
) -> None:
    steps = await chain(service, client)
    await service.sign()
    page = (await client.get(f"/v1/artifacts/sha256:{sha256(b'part')}")).json()
    assert [one["id"] for one in page["produced_by"]] == [steps[1]["id"]]
    assert [one["id"] for one in page["consumed_by"]] == [steps[2]["id"]]
    assert page["stored"] is False
    assert [one["name"] for one in page["references"]] == ["part"]
    assert [one["step"] for one in page["attestations"]] == [steps[1]["id"]]


async def test_a_trace_says_when_it_does_not_name_every_reference(service: Service) -> None:
    async with service.client() as client:
        inputs = [reference(b"%d" % number, name=str(number)) for number in range(3)]
        await record(service, client, "many", inputs=inputs, **out(b"made"))
    root = Digest.of(b"made")
    async with service.database.reading() as connection:
        whole = await trace(connection, "default", root, up=True, depth=5, most_refs=3)
        part = await trace(connection, "default", root, up=True, depth=5, most_refs=2)
    assert (len(whole.steps[0].inputs), whole.truncated) == (3, False)
    assert (len(part.steps[0].inputs), part.truncated) == (2, True)


async def test_lineage_goes_up_to_the_commit_and_down_to_the_image(
    service: Service, client: httpx2.AsyncClient
) -> None:
    steps = await chain(service, client)
    await service.sign()
    up = (await client.get(f"/v1/artifacts/sha256:{sha256(b'image')}/lineage")).json()
    assert [(one["name"], one["level"]) for one in up["steps"]] == [
        ("serve", 1),
        ("train", 2),
        ("split", 3),
        ("fetch", 4),
    ]
    assert up["steps"][3]["inputs"][0]["digest"] == f"gitCommit:{COMMIT}"
    assert [one["attestations"][0]["step"] for one in reversed(up["steps"])] == [one["id"] for one in steps]
    near = (await client.get(f"/v1/artifacts/sha256:{sha256(b'image')}/lineage?depth=2")).json()
    assert [one["name"] for one in near["steps"]] == ["serve", "train"]
    down = (await client.get(f"/v1/artifacts/gitCommit:{COMMIT}/lineage?direction=down")).json()
    assert [one["name"] for one in down["steps"]] == ["fetch", "split", "train", "serve"]


async def test_a_consumer_recorded_before_its_producer_is_linked_all_the_same(
    service: Service, client: httpx2.AsyncClient
) -> None:
    early = new_ulid(service.clock.now())
    service.clock.advance(10)
    await record(
        service,
        client,
        "use",
        inputs=[reference(b"late", name="late")],
        outputs=[reference(b"end", name="end")],
    )
    body = {"id": early, "name": "make", "outcome": "succeeded", "outputs": [reference(b"late", name="late")]}
    await client.post("/v1/records", json=body)
    up = (await client.get(f"/v1/artifacts/sha256:{sha256(b'end')}/lineage")).json()
    assert [one["name"] for one in up["steps"]] == ["use", "make"]


async def test_other_digests_of_an_artifact_find_it(service: Service, client: httpx2.AsyncClient) -> None:
    body = reference(b"tree", uri="git+https://git.example/o/r")
    body["digest"] = {"sha256": sha256(b"tree"), "gitCommit": COMMIT}
    await client.post("/v1/artifacts", json=body)
    page = (await client.get(f"/v1/artifacts/gitCommit:{COMMIT}")).json()
    assert page["digest"] == f"sha256:{sha256(b'tree')}"
    assert page["aliases"] == body["digest"]


async def test_a_digest_that_several_artifacts_have_names_the_candidates(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for content in (b"one", b"two"):
        body = reference(content, uri="git+https://git.example/o/r")
        body["digest"] = {"sha256": sha256(content), "gitCommit": COMMIT}
        await client.post("/v1/artifacts", json=body)
    answer = await client.get(f"/v1/artifacts/gitCommit:{COMMIT}")
    assert answer.status_code == 409
    assert sorted(answer.json()["candidates"]) == sorted(f"sha256:{sha256(c)}" for c in (b"one", b"two"))


async def test_a_uri_lists_every_digest_it_ever_had_page_by_page(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for number in range(5):
        service.clock.advance(1)
        body = reference(str(number).encode(), uri="s3://bucket/data", name=f"v{number}")
        assert (await client.post("/v1/artifacts", json=body)).status_code == 201
        assert (await client.post("/v1/artifacts", json=body)).status_code == 200
    names: list[str] = []
    url: str | None = "/v1/artifacts?uri=s3://bucket/data&limit=2"
    while url:
        answer = await client.get(url)
        names += [one["name"] for one in answer.json()["artifacts"]]
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert names == ["v0", "v1", "v2", "v3", "v4"]
    by_name = (await client.get("/v1/artifacts?name=v3")).json()["artifacts"]
    assert [one["digest"] for one in by_name] == [f"sha256:{sha256(b'3')}"]


async def test_a_reference_outside_a_step_is_in_the_journal_before_the_index(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.post("/v1/artifacts", json=reference(b"x", uri="s3://bucket/x"))
    lines = [
        await service.store.read(one.key) async for one in service.store.list("projects/default/journal/")
    ]
    assert [b'"fact":"reference"' in line and b"s3://bucket/x" in line for line in lines] == [True]


@pytest.mark.parametrize(
    "query",
    ["", "?uri=s3://x&limit=0", "?uri=s3://x&limit=1001", "?name=x&cursor=!!", "?x=1", "?name=x&cursor=e30="],
)
async def test_a_list_without_a_question_or_with_a_bad_one_is_refused(
    client: httpx2.AsyncClient, query: str
) -> None:
    assert (await client.get(f"/v1/artifacts{query}")).status_code == 422


async def test_what_was_never_recorded_is_not_found(client: httpx2.AsyncClient) -> None:
    for page in ("", "/lineage", "/attestations"):
        assert (await client.get(f"/v1/artifacts/sha256:{'0' * 64}{page}")).status_code == 404
    assert (await client.get(f"/v1/attestations/sha256:{'0' * 64}")).status_code == 404
    assert (await client.get(f"/v1/blobs/sha256:{'0' * 64}")).status_code == 404
    assert (await client.get(f"/v1/attestations?subject=sha256:{'0' * 64}")).json() == {"attestations": []}


async def test_an_attestation_is_served_byte_for_byte_and_never_damaged(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await chain(service, client)
    await service.sign()
    listed = (await client.get(f"/v1/artifacts/sha256:{sha256(b'model')}/attestations")).json()[
        "attestations"
    ]
    got = await client.get(listed[0]["url"])
    assert got.headers["content-type"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert f"sha256:{sha256(got.content)}" == listed[0]["digest"]
    path = next((service.folder / "data/objects/attestations").rglob(f"{listed[0]['digest'][7:]}.json"))
    path.chmod(0o600)
    path.write_bytes(got.content.replace(b"dsse", b"DSSE"))
    damaged = await client.get(listed[0]["url"])
    assert (damaged.status_code, damaged.json()["type"].split("#")[1]) == (500, "corrupted")
