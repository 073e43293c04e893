"""An output that is recorded again: the same, or less, or refused."""

from __future__ import annotations

import httpx2
import pytest

from tests.attacks.actors import begin
from tests.attacks.raw import assert_problem
from tests.service import sha256

FIRST = {
    "name": "model",
    "digest": {"sha256": sha256(b"model"), "sha512": "ab" * 64},
    "uri": "https://models.example.com/7",
    "mediaType": "application/octet-stream",
    "annotations": {"kind": "weights"},
}


def but(**members: object) -> dict[str, object]:
    return {**FIRST, **members}


@pytest.mark.parametrize(
    "again",
    [FIRST, {"name": "model", "digest": {"sha256": sha256(b"model")}}, but(role="output")],
    ids=["the same", "less", "with its role"],
)
async def test_who_repeats_may_say_less(client: httpx2.AsyncClient, again: dict[str, object]) -> None:
    step = await begin(client)
    await client.post(f"{step.url}/outputs", json={"outputs": [FIRST]})
    answer = await client.post(f"{step.url}/outputs", json={"outputs": [again]})
    assert (answer.status_code, answer.json()) == (200, {"recorded": 0, "known": 1})


@pytest.mark.parametrize(
    ("again", "members"),
    [
        (but(uri="https://models.example.com/8"), ["uri"]),
        (but(mediaType="text/plain"), ["mediaType"]),
        (but(annotations={"kind": "weights", "more": "x"}), ["annotations"]),
        (but(digest={"sha256": sha256(b"other")}, uri="https://x.example"), ["digest", "uri"]),
        (but(digest={"sha256": sha256(b"model"), "sha512": "cd" * 64}), ["digest"]),
    ],
)
async def test_who_says_something_else_is_refused(
    client: httpx2.AsyncClient, again: dict[str, object], members: list[str]
) -> None:
    step = await begin(client)
    await client.post(f"{step.url}/outputs", json={"outputs": [FIRST]})
    fresh = {"name": "fresh", "digest": {"sha256": sha256(b"fresh")}}
    answer = await client.post(f"{step.url}/outputs", json={"outputs": [fresh, again]})
    assert assert_problem(answer, 409, "conflict", hint=True)["members"] == members
    # Nothing of a request that is refused is recorded.
    taken = await client.post(f"{step.url}/outputs", json={"outputs": [fresh]})
    assert taken.json() == {"recorded": 1, "known": 0}


async def test_two_voices_in_one_request_are_refused(client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    both = {"outputs": [FIRST, but(uri="https://models.example.com/8")]}
    assert_problem(await client.post(f"{step.url}/outputs", json=both), 409, "conflict", hint=True)


async def test_bytes_that_come_with_another_name_for_their_place_are_refused(
    client: httpx2.AsyncClient,
) -> None:
    step = await begin(client)
    url = f"{step.url}/outputs/data"
    first = await client.put(url, content=b"d", params={"uri": "https://data.example.com/1"})
    assert first.status_code == 201
    assert (await client.put(url, content=b"d")).status_code == 200
    other = await client.put(url, content=b"d", params={"uri": "https://data.example.com/2"})
    assert assert_problem(other, 409, "conflict", hint=True)["members"] == ["uri"]
    typed = await client.put(url, content=b"d", headers={"Content-Type": "text/plain"})
    assert assert_problem(typed, 409, "conflict", hint=True)["members"] == ["mediaType"]
