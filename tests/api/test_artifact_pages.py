"""The page of an artifact: put together by the database, the same whichever that is."""

from __future__ import annotations

import asyncio
import hashlib

import httpx2
import pytest

from artifacts.digest import Digest
from tests.service import Service

pytestmark = pytest.mark.both_databases

DIGEST = hashlib.sha256(b"popular").hexdigest()
ALSO = hashlib.sha512(b"popular").hexdigest()
LISTS = ("references", "produced_by", "consumed_by", "attestations")


def _step(**members: object) -> dict[str, object]:
    return {"name": "x", "outcome": "succeeded", **members}


async def test_a_page_says_which_of_its_lists_are_longer(client: httpx2.AsyncClient) -> None:
    inputs = [{"name": f"copy-{number:03}", "digest": {"sha256": DIGEST}} for number in range(101)]
    await client.post("/v1/records", json=_step(inputs=inputs[:100]))
    page = (await client.get(f"/v1/artifacts/sha256:{DIGEST}")).json()
    assert [len(page[name]) for name in LISTS] == [100, 0, 100, 0]
    assert "truncated" not in page
    await client.post("/v1/records", json=_step(inputs=inputs[100:]))
    page = (await client.get(f"/v1/artifacts/sha256:{DIGEST}")).json()
    assert [len(page[name]) for name in LISTS] == [100, 0, 100, 0]
    assert page["truncated"] == ["references", "consumed_by"]


async def test_a_page_tells_of_aliases_steps_and_statements(
    service: Service, client: httpx2.AsyncClient
) -> None:
    output = {"name": "a/b", "uri": "file:///a", "digest": {"sha256": DIGEST, "sha512": ALSO}}
    step = (await client.post("/v1/records", json=_step(outputs=[output]))).json()
    await service.sign()
    pages = [
        (await client.get(f"/v1/artifacts/{digest}")).json()
        for digest in (f"sha256:{DIGEST}", f"sha512:{ALSO}")
    ]
    assert pages[0] == pages[1]
    page = pages[0]
    assert page["aliases"] == {"sha256": DIGEST, "sha512": ALSO}
    assert page["stored"] is False
    assert [(one["uri"], one["name"]) for one in page["references"]] == [("file:///a", "a/b")]
    assert [(one["id"], one["role"], one["output_name"]) for one in page["produced_by"]] == [
        (step["id"], "output", "a/b")
    ]
    about = (await client.get(f"/v1/artifacts/sha256:{DIGEST}/attestations")).json()
    assert page["attestations"] == about["attestations"]
    assert page["attestations"][0]["step"] == step["id"]


async def test_pages_asked_for_together_are_each_their_own(
    service: Service, client: httpx2.AsyncClient
) -> None:
    named = {str(Digest.of(name.encode())): name for name in ("a", "b")}
    outputs = [{"name": name, "digest": {"sha256": digest[7:]}} for digest, name in named.items()]
    await client.post("/v1/records", json=_step(outputs=outputs))
    nothing = Digest.of(b"nothing")
    asked = [*map(Digest.parse, named), nothing]
    found = await asyncio.gather(
        *(service.parts.reads.artifact(project, one) for project in ("default", "other") for one in asked)
    )
    shown = [page and (str(page.digest), page.names[0].name) for page in found]
    assert shown == [*named.items(), None, None, None, None]
