"""A little of everything that a service keeps, and every question that can be asked about it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from api.parts import assemble
from artifacts.db import connect
from artifacts.queries import tokens
from artifacts.queries.tokens import TokenRow
from artifacts.tokens import Tokens
from artifacts.trees import manifest
from provenance.attest import BUILDER
from provenance.reindex.ahead import Ahead
from provenance.reindex.reindexer import Believing, Reindexer
from provenance.reindex.report import Report
from tests.attacks.actors import OpenStep, begin, built, finish, put
from tests.service import PUBLIC_URL, TOKENS, Service, reference, sha256
from tests.trees.shapes import CONTENTS, Pack, Tree, a_pack, a_tree, file, send, upload

COMMIT = {"gitCommit": "a" * 40}
_BIG = b"big " * 300_000


@dataclass
class Corpus:
    """What was recorded, as the addresses at which it can be asked for."""

    urls: list[str] = field(default_factory=list)
    steps: list[OpenStep] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)
    refused: str = ""
    open: str = ""
    unsigned: str = ""


async def journal_tokens(service: Service) -> None:
    """Write of the tokens of the service, as `custody-server serve` does of the first one."""
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    for number, (project, secret) in enumerate(TOKENS.items()):
        row = TokenRow(f"01K{number:023d}", project, "test")
        await issuing.issue(row, digest=tokens.hashed(secret))


async def recorded(service: Service) -> Corpus:
    """Record runs, steps of every outcome, trees, references, uploads; sign most of it."""
    corpus = Corpus()
    await journal_tokens(service)
    async with service.client() as client:
        await _chain(service, client, corpus)
        await _failures(service, client, corpus)
        await _trees(service, client, corpus)
        await _names(service, client, corpus)
        await _whole(service, client, corpus)
        await _left_over(service, client, corpus)
    async with service.client(TOKENS["other"]) as neighbour:
        step = await built(service, neighbour, b"of a neighbour")
        corpus.digests.add(f"sha256:{sha256(b'of a neighbour')}")
        corpus.steps.append(step)
    await service.read_back()
    await service.sign()
    corpus.urls = _asked(corpus)
    return corpus


async def _chain(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """Each step uses what the one before it made; two make the same bytes."""
    run = (await client.post("/v1/runs", json={"name": "nightly"})).json()["id"]
    before = b"raw data"
    for number in range(5):
        source = {"source": {"uri": "git+https://host/x", "digest": COMMIT}} if number == 0 else {}
        step = await begin(client, run=run, command=["make", str(number)], parameters={"n": number}, **source)
        inputs = {"inputs": [reference(before, uri=f"pkg:generic/x@{number}", name="x")]}
        assert (await client.post(f"{step.url}/inputs", json=inputs)).status_code == 200
        corpus.digests |= {f"sha256:{sha256(before)}"}
        before = f"made by {number % 4}".encode()
        corpus.digests |= {
            await put(client, step, "dist/x", before),
            await put(client, step, "log/y", b"same"),
        }
        await finish(client, step)
        await service.sign()
        corpus.steps.append(step)
        service.clock.advance(61)
    corpus.digests.add(f"gitCommit:{'a' * 40}")


async def _failures(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """A failed step, one whose token ran out, one that is refused."""
    failed = await begin(client, expires_in=60)
    await put(client, failed, "core", b"a core dump")
    await finish(client, failed, "failed")
    expired = await begin(client, expires_in=60)
    service.clock.advance(3600)
    await service.upkeep.tidy()
    lying = await begin(client)
    tree = Tree([file("one", b"contents of one")])
    wrong = Pack.of([b"contents of two"])
    wrong.frames[0]["files"] = [[sha256(b"contents of one"), 15]]
    await send(client, tree, wrong)
    output = {"name": "dist", "digest": {"sha256": tree.digest[7:]}, "mediaType": manifest.MEDIA_TYPE}
    assert (await client.post(f"{lying.url}/outputs", json={"outputs": [output]})).status_code == 200
    await service.check_trees()
    await finish(client, lying)
    await service.sign()
    assert (await client.get(lying.url)).json()["state"] == "refused"
    corpus.refused = lying.url
    corpus.steps += [failed, expired, lying]
    service.clock.advance(61)


async def _trees(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """Two versions of a tree that share frames, one with a blob of its own, made by a step."""
    await upload(client, _BIG)
    await service.read_back()
    first = a_tree()
    large = file("large.bin", _BIG)
    added = b"another file"
    second = Tree(sorted([*first.entries, large, file("z/new", added)], key=lambda entry: entry.path))
    for tree, packs in ((first, [a_pack()]), (second, [Pack.of([added])])):
        step = await begin(client)
        await send(client, tree, *packs)
        output = {"name": "dist", "digest": {"sha256": tree.digest[7:]}, "mediaType": manifest.MEDIA_TYPE}
        assert (await client.post(f"{step.url}/outputs", json={"outputs": [output]})).status_code == 200
        await service.read_back()
        await service.check_trees()
        assert (await client.get(tree.url)).json()["state"] == "present"
        await finish(client, step)
        await service.sign()
        corpus.steps.append(step)
        corpus.urls += [tree.url, f"{tree.url}/entries", f"{tree.url}?as=tar"]
        corpus.urls += [f"{tree.url}/manifest", f"{tree.url}/layout"]
        corpus.digests |= {tree.digest, *(pack.digest for pack in packs)}
        service.clock.advance(61)
    contents = (added, _BIG, b"../src/a.py", *CONTENTS.values())
    corpus.digests |= {f"sha256:{sha256(content)}" for content in contents}


async def _names(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """References outside any step, one of them without sha256, and uploads in one piece and in parts."""
    both = {"digest": {"sha256": sha256(b"same"), "sha512": "b" * 128}, "uri": "https://host/same"}
    for body in (both, {"digest": {"gitTree": "c" * 40}, "uri": "git+https://host/tree"}):
        assert (await client.post("/v1/artifacts", json=body)).status_code == 201
        service.clock.advance(1)
    await upload(client, b"a blob")
    content = b"in parts"
    announced = {"size": len(content), "digest": f"sha256:{sha256(content)}"}
    upload_ = (await client.post("/v1/blobs/uploads?resumable=1", json=announced)).json()["upload"]
    await client.put(f"/v1/blobs/uploads/{upload_}/parts/1", content=content)
    assert (await client.post(f"/v1/blobs/uploads/{upload_}/complete")).status_code == 200
    corpus.digests |= {f"sha256:{sha256(b'a blob')}", f"sha256:{sha256(content)}"}
    corpus.digests |= {f"sha512:{'b' * 128}", f"gitTree:{'c' * 40}"}
    corpus.urls += ["/v1/artifacts?uri=https://host/same", "/v1/artifacts?uri=git%2Bhttps://host/tree"]
    corpus.urls += ["/v1/artifacts?name=x", "/v1/artifacts?name=dist/x", "/v1/artifacts?name=dist"]
    corpus.urls += ["/v1/artifacts?uri=pkg:generic/x@1", "/v1/artifacts?uri=git%2Bhttps://host/x"]


async def _whole(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """Steps sent whole, one of which uses what no step made and one what the first made."""
    made = reference(b"whole", name="out", annotations={"kind": "model", "layers": 7})
    one = {"name": "train", "outcome": "succeeded", "inputs": [reference(b"raw data")], "outputs": [made]}
    two = {"name": "eval", "outcome": "succeeded", "inputs": [reference(b"whole", uri="mlflow:m/1")]}
    for body in (one, {**two, "byproducts": [reference(b"scores", name="scores.json")]}):
        answer = await client.post("/v1/records", json=body)
        assert answer.status_code == 201, answer.text
        corpus.steps.append(OpenStep(answer.json()["id"], ""))
        await service.sign()
        service.clock.advance(61)
    corpus.digests |= {f"sha256:{sha256(b'whole')}", f"sha256:{sha256(b'scores')}"}


async def _left_over(service: Service, client: httpx2.AsyncClient, corpus: Corpus) -> None:
    """A step that is never finished, and an upload that is never completed."""
    step = await begin(client)
    corpus.open = step.url
    announced = {"size": 4, "digest": f"sha256:{sha256(b'late')}"}
    told = (await client.post("/v1/blobs/uploads?resumable=1", json=announced)).json()["upload"]
    await client.put(f"/v1/blobs/uploads/{told}/parts/1", content=b"late")


async def left_unsigned(service: Service, corpus: Corpus) -> None:
    """Finish one more step, and let no signer see it."""
    async with service.client() as client:
        step = await begin(client)
        await put(client, step, "late", b"made late")
        await finish(client, step)
        await service.read_back()
    corpus.unsigned = step.url


def _asked(corpus: Corpus) -> list[str]:
    urls = [*corpus.urls, *(step.url for step in corpus.steps)]
    for digest in sorted(corpus.digests):
        artifact = f"/v1/artifacts/{digest}"
        urls += [artifact, f"{artifact}/attestations", f"/v1/blobs/{digest}", f"/v1/trees/{digest}"]
        urls += [f"{artifact}/lineage?direction={way}&depth=10" for way in ("up", "down")]
    return urls


async def answers(service: Service, corpus: Corpus) -> dict[str, Any]:
    """Every answer to every question, of both projects, and every bundle that one of them names."""
    told: dict[str, Any] = {}
    for project, token in TOKENS.items():
        async with service.client(token) as client:
            for url in corpus.urls:
                told[f"{project} {url}"] = await _answer(client, url)
            for bundle in sorted(_bundles(told)):
                told[f"{project} {bundle}"] = await _answer(client, bundle)
            asked = {"digests": sorted(one for one in corpus.digests if one.startswith("sha256:"))}
            told[f"{project} missing"] = (await client.post("/v1/blobs/missing", json=asked)).json()
            contents = {"digests": [digest[7:] for digest in asked["digests"]]}
            told[f"{project} missing of trees"] = (
                await client.post("/v1/trees/missing", json=contents)
            ).json()
    async with service.client() as client:
        told["run"] = (await client.post("/v1/runs", json={"name": "nightly"})).json()
    return told


async def _answer(client: httpx2.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    if answer.is_error:
        return answer.status_code, answer.json()["type"]
    if answer.headers.get("content-type", "").startswith("application/json"):
        return answer.status_code, alike(answer.json())
    return answer.status_code, answer.headers.get("etag"), sha256(answer.content)


def _bundles(told: dict[str, Any]) -> set[str]:
    text = json.dumps(list(told.values()))
    return {part.partition('"')[0] for part in text.split('"url": "')[1:]}


def alike(value: Any) -> Any:
    """`value` without what `docs/operating.md` says is lost: some times, and with them some orders."""
    if isinstance(value, list):
        return [alike(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: alike(member) for name, member in value.items() if name not in {"expires_at", "trace"}}
    if "attestations" in kept:
        kept["attestations"].sort(key=lambda one: one["digest"])
    for entered in kept.get("ledger", []):
        if entered["state"] != "open":
            del entered["at"]
    return kept


def believing(service: Service, **changes: Any) -> Believing:
    """What the operator of `service` brings."""
    own = Believing(frozenset({service.signer.public_key}), PUBLIC_URL + BUILDER, service.seal)
    return replace(own, **changes)


async def reindex(service: Service, **options: Any) -> Report:
    """Fill the index of `service` from its bucket."""
    believed = options.pop("believed", None) or believing(service)
    return await Reindexer(service.database, service.store, service.clock, believed, **options).run()


def looking(service: Service) -> Ahead:
    """The check of the signer, over the index of `service`."""
    return Ahead(service.database, service.store, service.signer.public_key, service.seal)


@asynccontextmanager
async def without_its_index(service: Service, index: str) -> AsyncIterator[Service]:
    """The same service over the migrated and empty index at `index`."""
    database = connect(index)
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=database,
        store=service.store,
        clock=service.clock,
        seal=service.seal,
    )
    try:
        yield replace(service, parts=parts)
    finally:
        await database.close()


def objects(service: Service) -> Path:
    """The folder of the objects."""
    return service.folder / "data" / "objects"
