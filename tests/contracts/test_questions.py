"""Questions that no honest client asks have the same kind of answer from both databases."""

from __future__ import annotations

import httpx2
import pytest

from tests.attacks.actors import begin

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("text", ["a%00b", "%00", "%01", "%EF%BF%BE", "%ED%A0%80", "%FF", "%", "x" * 3000])
async def test_a_name_that_nothing_can_have_is_not_found_or_refused(
    client: httpx2.AsyncClient, text: str
) -> None:
    step = await begin(client)
    asked = [
        await client.get(f"/v1/artifacts?name={text}"),
        await client.get(f"/v1/artifacts?uri={text}"),
        await client.get(f"/v1/steps/{text}"),
        await client.post(f"/v1/steps/{text}/finish", json={"outcome": "failed"}),
        await client.put(f"{step.url}/outputs/{text}", content=b"x"),
        await client.post("/v1/runs", json={"name": "x"}, headers={"Idempotency-Key": text}),
    ]
    assert all(answer.status_code < 500 for answer in asked), [answer.text for answer in asked]
    for answer in asked[:2]:
        if answer.status_code == 200:
            assert answer.json()["artifacts"] == []
    assert (await client.get(step.url)).status_code == 200
