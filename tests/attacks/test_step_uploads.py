"""What a step token sends is content of its own outputs: it reads nothing, and touches nobody else's."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from api.parts import Fences, assemble
from api.quotas import Allowed
from artifacts.trees import manifest
from tests.attacks.actors import OpenStep, begin, finish
from tests.attacks.raw import assert_problem
from tests.attacks.remains import query, remains
from tests.attacks.statements import statement_of
from tests.service import PUBLIC_URL, TOKENS, Service, sha256
from tests.trees.shapes import Tree, a_pack, a_tree, file, put_manifest, send, upload


def named(tree: Tree) -> dict[str, object]:
    digest = {"sha256": tree.digest[7:]}
    return {"outputs": [{"name": "dist", "digest": digest, "mediaType": manifest.MEDIA_TYPE}]}


async def announced(client: httpx2.AsyncClient, content: bytes) -> str:
    body = {"size": len(content), "digest": f"sha256:{sha256(content)}"}
    answer = await client.post("/v1/blobs/uploads?resumable=1", json=body)
    assert answer.status_code == 201, answer.text
    return f"/v1/blobs/uploads/{answer.json()['upload']}"


async def labels(service: Service, client: httpx2.AsyncClient, step: OpenStep) -> dict[str, str]:
    """The labels of the only subject of a signed step."""
    page = (await client.get(step.url)).json()
    bundle = await client.get(page["attestations"][0]["url"])
    (subject,) = statement_of(bundle.content)["subject"]
    found: dict[str, str] = subject["annotations"]
    return found


async def test_a_step_sends_a_directory_and_names_it_as_its_output(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, step = a_tree(), await begin(client)
    digests = [sha256(b"elsewhere")]
    async with service.client(step.token) as own:
        asked = await own.post("/v1/trees/missing", json={"digests": digests})
        assert asked.json() == {"missing": digests}
        assert (await send(own, tree, a_pack())).status_code == 202
        await service.check_trees()
        assert (await own.get(tree.url)).json()["state"] == "present"
        # Until it is an output, nothing is recorded of it.
        assert (await client.get(f"/v1/artifacts/{tree.digest}")).status_code == 404
        assert (await client.get(f"/v1/artifacts/{a_pack().digest}")).status_code == 404
        assert (await own.post(f"{step.url}/outputs", json=named(tree))).status_code == 200
        await finish(own, step)
    await service.sign()
    assert (await labels(service, client, step))["custody_integrity"] == "verified"
    assert (await client.get(f"/v1/artifacts/{tree.digest}")).status_code == 200


async def test_a_step_learns_nothing_of_a_tree_that_it_did_not_send(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, mine = a_tree(), await begin(client)
    await send(client, tree, a_pack())
    await service.check_trees()
    before = remains(service.folder / "data")
    async with service.client(mine.token) as own:
        unknown = Tree([file("none", b"nowhere")])
        for one in (tree, unknown):
            assert_problem(await own.get(one.url), 404, "not-found")
            assert_problem(await own.post(one.url, json={"packs": []}), 404, "not-found")
            for path in ("/manifest", "/layout", "/entries"):
                assert_problem(await own.get(f"{one.url}{path}"), 403, "forbidden")
        assert remains(service.folder / "data").changed(before) == set()
        # Who can send the manifest knows what is in it, and still reads no byte of the files.
        assert (await put_manifest(own, tree)).status_code == 200
        assert (await own.get(tree.url)).json()["state"] == "present"
        for url in (f"{tree.url}?as=tar", f"{tree.url}/layout", f"/v1/blobs/{a_pack().digest}"):
            assert_problem(await own.get(url), 403, "forbidden")
    other = await begin(client)
    async with service.client(other.token) as own:
        assert_problem(await own.get(tree.url), 404, "not-found")


async def test_a_step_of_another_project_finds_nothing_here(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = a_tree()
    await send(client, tree, a_pack())
    await service.check_trees()
    blob = f"sha256:{sha256(b'large')}"
    await upload(client, b"large")
    async with service.client(TOKENS["other"]) as neighbour:
        step = await begin(neighbour)
    async with service.client(step.token) as own:
        digests = [one.digest.hex() for one in tree.entries if one.is_small]
        assert (await own.post("/v1/trees/missing", json={"digests": digests})).json()["missing"] == digests
        assert (await own.post("/v1/blobs/missing", json={"digests": [blob]})).json()["missing"] == [blob]
        assert (await put_manifest(own, tree)).status_code == 201
        stolen = await own.post(tree.url, json={"packs": [a_pack().index]})
        assert (stolen.status_code, stolen.json()["packs"]) == (409, [a_pack().digest])


async def test_bytes_in_parts_from_a_step_are_observed_as_its_output(
    service: Service, client: httpx2.AsyncClient
) -> None:
    content, step = b"weights" * 1000, await begin(client)
    async with service.client(step.token) as own:
        url = await announced(own, content)
        assert (await own.put(f"{url}/parts/1", content=content)).status_code == 201
        assert (await own.post(f"{url}/complete")).status_code == 200
        assert (await client.get(f"/v1/artifacts/sha256:{sha256(content)}")).status_code == 404
        body = {"outputs": [{"name": "model", "digest": {"sha256": sha256(content)}}]}
        assert (await own.post(f"{step.url}/outputs", json=body)).status_code == 200
        await finish(own, step)
    await service.read_back()
    await service.sign()
    found = await labels(service, client, step)
    assert found == {"custody_integrity": "verified", "custody_role": "observed"}


@pytest.mark.parametrize("complete", [True, False])
async def test_an_upload_that_is_not_right_makes_nobody_an_observer(
    service: Service, client: httpx2.AsyncClient, complete: bool
) -> None:
    """The bytes came from somebody else; the step only announced them, or sent others."""
    content, step = b"somebody's", await begin(client)
    await upload(client, content)
    async with service.client(step.token) as own:
        url = await announced(own, content)
        if complete:
            assert (await own.put(f"{url}/parts/1", content=b"x" * len(content))).status_code == 201
            assert_problem(await own.post(f"{url}/complete"), 422, "digest-mismatch", hint=True)
        body = {"outputs": [{"name": "model", "digest": {"sha256": sha256(content)}}]}
        assert (await own.post(f"{step.url}/outputs", json=body)).status_code == 200
        await finish(own, step)
    await service.read_back()
    await service.sign()
    assert (await labels(service, client, step))["custody_role"] == "reported"


@pytest.mark.parametrize("own_token", [True, False])
async def test_a_step_is_refused_for_wrong_bytes_that_it_sent_itself(
    service: Service, client: httpx2.AsyncClient, own_token: bool
) -> None:
    """Whichever of its tokens sent them, and nobody else's step is."""
    content, step, other = b"promised", await begin(client), await begin(client)
    body = {"outputs": [{"name": "model", "digest": {"sha256": sha256(content)}}]}
    async with service.client(step.token if own_token else TOKENS["default"]) as sender:
        url = await announced(sender, content)
        assert (await sender.put(f"{url}/parts/1", content=b"x" * len(content))).status_code == 201
        assert_problem(await sender.post(f"{url}/complete"), 422, "digest-mismatch", hint=True)
        assert (await sender.post(f"{step.url}/outputs", json=body)).status_code == 200
        await finish(sender, step)
    async with service.client(other.token) as neighbour:
        assert (await neighbour.post(f"{other.url}/outputs", json=body)).status_code == 200
        await finish(neighbour, other)
    await service.sign()
    page = (await client.get(step.url)).json()
    assert (page["state"], page["attestations"]) == ("refused", [])
    # What the project's token sends counts for each step that it began.
    theirs = (await client.get(other.url)).json()
    assert theirs["state"] == ("signed" if own_token else "refused")


async def test_an_upload_belongs_to_who_announced_it(service: Service, client: httpx2.AsyncClient) -> None:
    mine, other = await begin(client), await begin(client)
    async with service.client(other.token) as neighbour:
        theirs = [await announced(neighbour, b"parts"), await announced(client, b"parts")]
    before = remains(service.folder / "data")
    async with service.client(mine.token) as own:
        for url in theirs:
            assert_problem(await own.get(url), 404, "not-found", hint=True)
            assert_problem(await own.put(f"{url}/parts/1", content=b"parts"), 404, "not-found", hint=True)
            assert_problem(await own.post(f"{url}/complete"), 404, "not-found", hint=True)
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_step_sends_no_more_than_its_project_may_keep(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step, tree = await begin(client), a_tree()
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=service.database,
        store=service.store,
        clock=service.clock,
        fences=Fences(bytes=Allowed(100)),
    )
    before = remains(service.folder / "data")
    async with replace(service, parts=parts).client(step.token) as own:
        large = {"size": 101, "digest": f"sha256:{sha256(b'l' * 101)}"}
        for answer in (
            await own.post("/v1/blobs/uploads", content=b"b" * 101),
            await own.post("/v1/blobs/uploads?resumable=1", json=large),
            await put_manifest(own, tree),
        ):
            assert_problem(answer, 413, "quota-exceeded", hint=True)
    assert remains(service.folder / "data").changed(before) == set()


async def test_what_a_step_sends_and_never_names_is_nobodys_output(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step, tree = await begin(client), a_tree()
    async with service.client(step.token) as own:
        await send(own, tree, a_pack())
        await upload(own, b"stray")
        await service.check_trees()
        await finish(own, step)
    assert query(service.folder / "data", "SELECT count(*) FROM step_output") == [(0,)]
    assert query(service.folder / "data", "SELECT count(*) FROM artifact") == [(0,)]
