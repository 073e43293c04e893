"""Trees as outputs of steps: what they are signed as, and when."""

from __future__ import annotations

import io
import tarfile

import httpx2
import pytest

from artifacts.trees import manifest
from tests.attacks.actors import begin, finish, put
from tests.attacks.statements import statement_of
from tests.service import Service, sha256
from tests.trees.shapes import Tree, a_pack, a_tree, send, upload

pytestmark = pytest.mark.both_databases


async def labels(service: Service, client: httpx2.AsyncClient, url: str) -> dict[str, dict[str, str]]:
    """The labels of the subjects of a signed step, by name."""
    page = (await client.get(url)).json()
    bundle = await client.get(page["attestations"][0]["url"])
    return {one["name"]: one["annotations"] for one in statement_of(bundle.content)["subject"]}


def output(tree: Tree) -> dict[str, object]:
    """The tree as an output."""
    digest = {"sha256": tree.digest[7:]}
    return {"outputs": [{"name": "dist", "digest": digest, "mediaType": manifest.MEDIA_TYPE}]}


async def test_a_step_waits_for_its_tree_and_is_then_signed_as_verified(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, step = a_tree(), await begin(client)
    await send(client, tree, a_pack())
    assert (await client.post(f"{step.url}/outputs", json=output(tree))).status_code == 200
    await finish(client, step)
    await service.sign()
    page = (await client.get(step.url)).json()
    assert page["state"] == "sealed"
    assert page["ledger"][-1]["reason"].startswith("awaiting bytes")
    await service.check_trees()
    service.clock.advance(1)
    await service.sign()
    assert (await labels(service, client, step.url))["dist"]["custody_integrity"] == "verified"
    assert (await labels(service, client, step.url))["dist"]["custody_role"] == "reported"


async def test_a_step_whose_tree_is_refused_is_refused(service: Service, client: httpx2.AsyncClient) -> None:
    tree, step = a_tree(), await begin(client)
    lying = a_pack()
    lying.frames[0]["files"].reverse()
    await send(client, tree, lying)
    await client.post(f"{step.url}/outputs", json=output(tree))
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "refused"
    await finish(client, step)
    await service.sign()
    page = (await client.get(step.url)).json()
    assert (page["state"], page["attestations"]) == ("refused", [])
    await send(client, tree, a_pack())
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"
    await service.sign()
    assert (await client.get(step.url)).json()["state"] == "refused"


async def test_a_tree_that_nobody_stored_is_reported(service: Service, client: httpx2.AsyncClient) -> None:
    tree, step = a_tree(), await begin(client)
    # The text of the manifest as a blob is no receipt for the files it names.
    await upload(client, tree.text)
    await service.read_back()
    await client.post(f"{step.url}/outputs", json=output(tree))
    await finish(client, step)
    await service.sign()
    assert (await labels(service, client, step.url))["dist"]["custody_integrity"] == "reported"


async def test_outputs_below_a_name_become_a_tree(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    contents = {"dist/a/x": b"one", "dist/b": b"two" * 500_000, "dist/c": b"", "distant": b"not in it"}
    async with service.client(step.token) as own:
        for name, content in contents.items():
            await put(own, step, name, content)
        made = await own.post(f"{step.url}/outputs/dist/tree")
        assert (made.status_code, made.json()["name"], made.json()["entries"]) == (201, "dist", 3)
        assert (await own.post(f"{step.url}/outputs/dist/tree")).status_code == 200
        assert (await own.post(f"{step.url}/outputs/nothing/tree")).status_code == 404
        await finish(own, step)
        assert (await own.post(f"{step.url}/outputs/dist/tree")).status_code == 409
    await service.read_back()
    await service.check_trees()
    url = f"/v1/trees/{made.json()['digest']}"
    assert (await client.get(url)).json()["state"] == "present"
    with tarfile.open(fileobj=io.BytesIO((await client.get(f"{url}?as=tar")).content)) as archive:
        assert archive.getnames() == ["a/x", "b", "c"]
    await service.sign()
    label = (await labels(service, client, step.url))["dist"]
    assert (label["custody_integrity"], label["custody_role"]) == ("verified", "reported")


async def test_who_sends_the_manifest_as_an_output_is_not_observed_to_have_made_the_tree(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, step = a_tree(), await begin(client)
    await send(client, tree, a_pack())
    await service.check_trees()
    async with service.client(step.token) as own:
        await own.post(f"{step.url}/outputs", json=output(tree))
        await put(own, step, "dist", tree.text)
        await finish(own, step)
    await service.sign()
    label = (await labels(service, client, step.url))["dist"]
    assert (label["custody_integrity"], label["custody_role"]) == ("verified", "reported")


async def test_outputs_that_are_no_files_of_one_directory_make_no_tree(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await put(client, step, "d/a", b"1")
    await put(client, step, "d/a/b", b"2")
    assert (await client.post(f"{step.url}/outputs/d/tree")).status_code == 422
    elsewhere = {"name": "e/x", "digest": {"sha256": sha256(b"elsewhere")}}
    await client.post(f"{step.url}/outputs", json={"outputs": [elsewhere]})
    assert (await client.post(f"{step.url}/outputs/e/tree")).status_code == 409
    named = {"name": "g/x", "digest": {"gitCommit": "ab" * 20}}
    await client.post(f"{step.url}/outputs", json={"outputs": [named]})
    assert (await client.post(f"{step.url}/outputs/g/tree")).status_code == 409
