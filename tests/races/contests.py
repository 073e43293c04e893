"""The races: what is asked at once, and what one caller at a time would have been told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.sealing import SIGN
from tests.attacks.actors import an_id
from tests.attacks.statements import statement_of
from tests.races import models
from tests.races.arena import SIGNERS, Answer, Arena, Asking
from tests.races.collections import sent_again
from tests.races.history import Event, Model
from tests.service import reference, sha256

History = list[Event]
_BYTES: Final = {"content-type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Contest:
    """A kind of race."""

    title: str
    must: str
    share: int
    """Of a hundred rounds."""
    play: Callable[[Arena, Sequence[int]], Awaitable[list[History]]]
    model: Model
    start: Hashable


def _each(
    play: Callable[[Arena, int], Awaitable[History]],
) -> Callable[[Arena, Sequence[int]], Awaitable[list[History]]]:
    """Rounds that have nothing to do with each other, at the same time."""

    async def played(arena: Arena, numbers: Sequence[int]) -> list[History]:
        return list(await asyncio.gather(*(play(arena, number) for number in numbers)))

    return played


def _until_signed(
    play: Callable[[Arena, int], Awaitable[tuple[str, History]]], asked: str, told: Callable[[Any], Hashable]
) -> Callable[[Arena, Sequence[int]], Awaitable[list[History]]]:  # Any: a statement
    """The same, and in the end what the signed statement says, by all signers at once."""

    async def played(arena: Arena, numbers: Sequence[int]) -> list[History]:
        rounds = list(await asyncio.gather(*(play(arena, number) for number in numbers)))
        await arena.sign()
        return [[*history, await _stated(arena, url, asked, told)] for url, history in rounds]

    return played


async def _stated(arena: Arena, url: str, asked: str, told: Callable[[Any], Hashable]) -> Event:
    called = arena.moment()
    (bundle,) = _bundles(await arena.insist(Asking("GET", url)))
    answer = await arena.insist(Asking("GET", f"/v1/attestations/{bundle}"))
    assert f"sha256:{sha256(answer.body)}" == bundle
    return Event((asked,), told(statement_of(answer.body)), called, arena.moment())


def _bundles(answer: Answer) -> tuple[str, ...]:
    return tuple(one["digest"] for one in answer.json["attestations"])


def _product(statement: Any) -> str:  # Any: JSON
    """The digest of the one output."""
    (subject,) = statement["subject"]
    return str(subject["digest"]["sha256"])


def _sealed(statement: Any) -> models.Sealed:  # Any: JSON
    """Outcome and names of outputs, as provenance or as a signed record says them."""
    if "record" in statement["predicate"]:
        record = statement["predicate"]["record"]
        return record["outcome"], frozenset(one["name"] for one in record["outputs"])
    return "succeeded", frozenset(one["name"] for one in statement["subject"])


async def _begun(arena: Arena) -> str:
    id_ = an_id()
    body = {"id": id_, "token_sha256": sha256(id_.encode()), "name": "race"}
    assert (await arena.insist(Asking("POST", "/v1/steps", body))).status in {200, 201}
    return f"/v1/steps/{id_}"


async def _same_bytes(arena: Arena, number: int) -> History:
    content = b"bytes of round %d" % number
    digest = f"sha256:{sha256(content)}"
    upload = Asking("POST", "/v1/blobs/uploads", content, _BYTES)
    read = Asking("GET", f"/v1/blobs/{digest}")

    def found(answer: Answer) -> str:
        return models.ABSENT if answer.status == 404 else f"sha256:{sha256(answer.body)}"

    reads = [arena.event(("read",), read, found) for _ in range(2)]
    writes = [arena.event(("write", digest), upload) for _ in range(3)]
    return [*await arena.together([*reads, *writes]), await arena.event(("read",), read, found)]


async def _same_reference(arena: Arena, number: int) -> History:
    uri = f"https://example.com/{number}"
    named = reference(b"reference of round %d" % number, uri=uri, name="x")
    look = Asking("GET", f"/v1/artifacts/sha256:{sha256(b'reference of round %d' % number)}")

    def found(answer: Answer) -> str:
        if answer.status == 404:
            return models.ABSENT
        return " ".join(one["uri"] for one in answer.json["references"])

    writes = [arena.event(("write", uri), Asking("POST", "/v1/artifacts", named)) for _ in range(3)]
    looks = [arena.event(("read",), look, found)]
    return [*await arena.together([*writes, *looks]), await arena.event(("read",), look, found)]


async def _one_name(arena: Arena, number: int) -> tuple[str, History]:
    url = await _begun(arena)
    contents = [b"%d of round %d" % (n % 2, number) for n in range(4)]
    history = await arena.together(
        arena.event(("write", sha256(content)), Asking("PUT", f"{url}/outputs/x", content))
        for content in contents
    )
    assert (await arena.insist(Asking("POST", f"{url}/finish", {"outcome": "succeeded"}))).status == 202
    return url, history


async def _finish(arena: Arena, number: int) -> tuple[str, History]:
    url = await _begun(arena)
    asked = [("succeeded", "failed")[(n + number) % 2] for n in range(4)]
    finishes = [
        arena.event(("finish", outcome), Asking("POST", f"{url}/finish", {"outcome": outcome}), _outcome_told)
        for outcome in asked
    ]
    puts = [
        arena.event(("put", name), Asking("PUT", f"{url}/outputs/{name}", b"%d%s" % (number, name.encode())))
        for name in ("a", "b")
    ]
    looks = [arena.event(("look",), Asking("GET", url), lambda answer: answer.json.get("outcome") or "")]
    return url, await arena.together([*finishes, *puts, *looks], spread=2 * arena.usual)


def _outcome_told(answer: Answer) -> Hashable:
    return answer.json["outcome"] if answer.status in {200, 202} else answer.status


async def _one_record(arena: Arena, number: int) -> tuple[str, History]:
    id_ = an_id()
    contents = [b"%d of record %d" % (n % 3, number) for n in range(6)]
    history = await arena.together(
        arena.event(("write", sha256(content)), Asking("POST", "/v1/records", _whole(id_, content)))
        for content in contents
    )
    return f"/v1/steps/{id_}", history


def _whole(id_: str, content: bytes) -> dict[str, object]:
    return {"id": id_, "name": "x", "outcome": "succeeded", "outputs": [reference(content, name="x")]}


async def _one_key(arena: Arena, number: int) -> History:
    headers = {"idempotency-key": f"round {number}"}
    bodies: list[dict[str, object]] = [{}, {}, {}, {"name": f"round {number}"}]
    return await arena.together(
        arena.event(
            ("use", str(body)),
            Asking("POST", "/v1/runs", body, headers),
            lambda answer: answer.json["id"] if answer.status < 300 else answer.status,
        )
        for body in bodies
    )


async def _signers(arena: Arena, numbers: Sequence[int]) -> list[History]:
    """Every signer holds every job, because the leases of those before it ran out while they worked."""
    ids = [an_id() for _ in numbers]
    for id_ in ids:
        assert (await arena.insist(Asking("POST", "/v1/records", _whole(id_, id_.encode())))).status in {
            200,
            201,
        }
    urls = [f"/v1/steps/{id_}" for id_ in ids]
    held: list[list[Job]] = []
    for number, signer in enumerate(arena.signers):
        async with signer.database.writing() as connection:
            now = (1 << 50) + number * 10
            held.append(
                await queue.take(connection, SIGN, owner=f"s{number}", now=now, lease_ms=1, limit=1000)
            )
        arena.chance.shuffle(held[-1])
    histories: dict[str, History] = {url: [] for url in urls}

    async def sign(number: int) -> None:
        lease = "held" if number == len(held) - 1 else "late"
        for job in held[number]:
            called = arena.moment()
            await arena.signers[number].attester.attest(job)
            histories[f"/v1/steps/{job.topic}"].append(Event(("sign", lease), None, called, arena.moment()))

    async def look() -> None:
        for url in urls:
            histories[url].append(await arena.event(("read",), Asking("GET", url), _bundles))

    await asyncio.gather(*(sign(number) for number in range(len(held))), look())
    await look()
    assert all(len(history) == len(held) + 2 for history in histories.values()), "somebody got no job"
    return list(histories.values())


CONTESTS: Final = (
    Contest(
        "bytes that nobody named, sent again twice and read twice while a collection removes them",
        "what was acknowledged stays; the rest is gone; 503 only while it is being removed",
        10,
        sent_again,
        models.never_lost,
        models.OLD,
    ),
    Contest(
        "the same bytes uploaded 3 times and read twice",
        "one upload is new, none is read before it is there",
        18,
        _each(_same_bytes),
        models.kept_once,
        models.ABSENT,
    ),
    Contest(
        "the same reference recorded 3 times and looked at",
        "one is new, one reference is kept",
        18,
        _each(_same_reference),
        models.kept_once,
        models.ABSENT,
    ),
    Contest(
        "two contents under one name of a step, each sent twice",
        "one wins, is told to all, and is what is signed",
        8,
        _until_signed(_one_name, "read", _product),
        models.kept_once,
        models.ABSENT,
    ),
    Contest(
        "a step finished 4 times with two outcomes, while two outputs come and it is looked at",
        "one outcome; the signed record has it and every output that was acknowledged",
        14,
        _until_signed(_finish, "stated", _sealed),
        models.finished_once,
        models.OPEN,
    ),
    Contest(
        "one id with three whole records, each sent twice",
        "one wins, is told to all, and is what is signed",
        14,
        _until_signed(_one_record, "read", _product),
        models.kept_once,
        models.ABSENT,
    ),
    Contest(
        "one Idempotency-Key 4 times with two bodies",
        "one answer for the body that came first, 422 for the other",
        12,
        _each(_one_key),
        models.answered_once,
        None,
    ),
    Contest(
        f"{SIGNERS} signers with the same job, while the step is looked at",
        "one statement, always the same",
        6,
        _signers,
        models.stated_once,
        "unsigned",
    ),
)
