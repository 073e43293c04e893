"""Trees over HTTP: sent as a manifest and packs, checked by a worker, handed out in three forms."""

from __future__ import annotations

import io
import tarfile

import httpx2
import pytest
from structlog.testing import capture_logs

from artifacts.trees import compression, manifest
from artifacts.trees.compression import FrameReader
from tests.service import TOKENS, Service, sha256
from tests.trees.shapes import (
    CONTENTS,
    TARGET,
    ZSTD,
    Pack,
    Tree,
    a_pack,
    a_tree,
    file,
    put_manifest,
    raw,
    send,
    upload,
)

pytestmark = pytest.mark.both_databases


def unfolded(frame: bytes) -> bytes:
    """The content of one frame."""
    reader = FrameReader(limit=1 << 24, length=len(frame))
    content = b"".join(reader.feed(frame))
    reader.finish()
    return content


async def stored(service: Service, client: httpx2.AsyncClient) -> Tree:
    """A tree that is present."""
    tree = a_tree()
    assert (await send(client, tree, a_pack())).status_code == 202
    await service.check_trees()
    return tree


async def test_a_tree_is_checked_by_a_worker_before_it_is_present(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = a_tree()
    assert (await put_manifest(client, tree)).status_code == 201
    assert (await put_manifest(client, tree)).status_code == 200
    assert (await client.get(tree.url)).json()["state"] == "incomplete"
    answer = await send(client, tree, a_pack())
    assert (answer.status_code, answer.json()["state"]) == (202, "checking")
    assert (await client.get(f"{tree.url}/layout")).status_code == 404
    assert await service.check_trees() == 1
    page = (await client.get(f"{tree.url}?wait=1")).json()
    size = sum(map(len, CONTENTS.values())) + len(TARGET)
    assert (page["state"], page["entries"], page["size"]) == ("present", 7, size)
    assert "reason" not in page
    again = await send(client, tree, a_pack())
    assert (again.status_code, again.json()) == (200, page)


async def test_the_layout_leads_to_every_content(service: Service, client: httpx2.AsyncClient) -> None:
    tree = await stored(service, client)
    got = await client.get(f"{tree.url}/layout")
    text = unfolded(got.content)
    named = (await client.get(tree.url)).json()["layout"]
    assert (got.headers["etag"], named) == (f'"{named}"', f"sha256:{sha256(text)}")
    unchanged = await client.get(f"{tree.url}/layout", headers={"If-None-Match": f'"{named}"'})
    assert unchanged.status_code == 304
    head, pack_line, *rest = text.decode().splitlines()
    assert head == f"custody-layout/v1 {tree.digest[7:]}"
    pack = a_pack()
    assert pack_line == f"p {pack.digest[7:]} {len(pack.content)}"
    entries = manifest.read(tree.text)
    seen = set()
    frame = b""
    for line in rest:
        if line.startswith("r "):
            _, number, offset, length, plain = line.split()
            asked = {"Range": f"bytes={offset}-{int(offset) + int(length) - 1}"}
            part = await client.get(f"/v1/blobs/{pack.digest}", headers=asked)
            frame = compression.decode(part.content, size=int(plain))
            assert number == "0"
            continue
        entry, start = map(int, line.split())
        content = frame[start : start + entries[entry].size]
        assert raw(content) == entries[entry].digest
        seen.add(entry)
    assert {number for number, entry in enumerate(entries) if entry.size} == seen


async def test_the_manifest_is_served_as_it_was_sent(service: Service, client: httpx2.AsyncClient) -> None:
    tree = await stored(service, client)
    got = await client.get(f"{tree.url}/manifest")
    assert (got.content, got.headers["content-type"]) == (compression.encode(tree.text), ZSTD["Content-Type"])
    assert got.headers["cache-control"] == "private, immutable, max-age=31536000"
    tag = {"If-None-Match": got.headers["etag"]}
    assert (await client.get(f"{tree.url}/manifest", headers=tag)).status_code == 304


async def test_a_tar_holds_the_tree_and_is_always_the_same(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = Tree([*a_tree().entries, file(b"odd\xff\n/" + b"n" * 200, b"odd")])
    await send(client, tree, a_pack(), Pack.of([b"odd"]))
    await service.check_trees()
    got = await client.get(f"{tree.url}?as=tar")
    assert got.headers["content-type"] == "application/x-tar"
    assert got.content == (await client.get(f"{tree.url}?as=tar")).content
    with tarfile.open(fileobj=io.BytesIO(got.content)) as archive:
        members = archive.getmembers()
        found = {
            member.name.encode("utf-8", "surrogateescape"): (
                oct(member.mode)[2:],
                member.linkname if member.issym() else (archive.extractfile(member) or io.BytesIO()).read(),
            )
            for member in members
            if not member.isdir()
        }
    assert {(member.mtime, member.uid, member.gid) for member in members} == {(0, 0, 0)}
    assert [member.name for member in members if member.isdir()] == ["var/empty"]
    expected: dict[bytes, tuple[str, bytes | str]] = {
        path.encode(): ("644", content) for path, content in CONTENTS.items()
    }
    expected |= {b"bin/run": ("755", CONTENTS["bin/run"]), b"bin/a": ("777", TARGET.decode())}
    expected |= {b"src/__init__.py": ("644", b""), b"odd\xff\n/" + b"n" * 200: ("644", b"odd")}
    assert found == expected


async def test_entries_are_listed_page_by_page_below_a_path(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await stored(service, client)
    seen = []
    url: str | None = f"{tree.url}/entries?limit=3"
    while url:
        answer = await client.get(url)
        seen += answer.json()["entries"]
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert [one["path"] for one in seen] == [entry.path.decode() for entry in manifest.read(tree.text)]
    assert seen[0] == {
        "path": "README",
        "mode": "644",
        "type": "f",
        "size": 8,
        "digest": f"sha256:{sha256(CONTENTS['README'])}",
    }
    below = (await client.get(f"{tree.url}/entries?prefix=src")).json()["entries"]
    assert [one["path"] for one in below] == ["src/__init__.py", "src/a.py", "src/b.py"]
    assert (await client.get(f"{tree.url}/entries?prefix=%25zz")).status_code == 422


async def test_only_contents_that_no_frame_has_are_missing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await stored(service, client)
    large, small = b"l" * (1 << 20) + b"x", b"a small blob"
    await upload(client, large)
    await upload(client, small)
    asked = [sha256(one) for one in (*CONTENTS.values(), TARGET, large, small, b"never")]
    answer = await client.post("/v1/trees/missing", json={"digests": asked})
    assert answer.json() == {"missing": [sha256(small), sha256(b"never")]}
    for bad in ("", "x", sha256(b"").upper(), f"sha256:{sha256(b'')}"):
        assert (await client.post("/v1/trees/missing", json={"digests": [bad]})).status_code == 422


async def test_what_is_missing_is_named_and_can_come_later(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, contents = a_tree(), list(CONTENTS.values())
    await send(client, tree, Pack.of(contents[:2]))
    await service.check_trees()
    page = (await client.get(tree.url)).json()
    assert page["state"] == "incomplete"
    assert sorted(page["missing"]) == sorted(sha256(one) for one in (TARGET, *contents[2:]))
    assert (await client.get(f"{tree.url}?as=tar")).status_code == 404
    await send(client, tree, Pack.of(contents[2:], [TARGET]))
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"


async def test_a_second_version_sends_only_what_changed(service: Service, client: httpx2.AsyncClient) -> None:
    await stored(service, client)
    second = Tree([*a_tree().entries, file("new", b"new content")])
    answer = await client.post(
        "/v1/trees/missing", json={"digests": [one.digest.hex() for one in second.entries if one.is_small]}
    )
    assert answer.json() == {"missing": [sha256(b"new content")]}
    await send(client, second, Pack.of([b"new content"]))
    await service.check_trees()
    assert (await client.get(second.url)).json()["state"] == "present"
    third = Tree(a_tree().entries[1:])
    await send(client, third)
    await service.check_trees()
    assert (await client.get(third.url)).json()["state"] == "present"


async def test_a_large_file_is_a_blob_that_a_worker_has_read_back(
    service: Service, client: httpx2.AsyncClient
) -> None:
    large = b"large" * 300_000
    tree = Tree([file("model.bin", large), file("README", CONTENTS["README"])])
    await upload(client, large)
    await send(client, tree, Pack.of([CONTENTS["README"]]))
    checker = service.check_trees
    assert await checker() == 1
    assert (await client.get(tree.url)).json()["state"] == "checking"
    await service.read_back()
    service.clock.advance(1)
    assert await checker() == 1
    assert (await client.get(tree.url)).json()["state"] == "present"
    got = await client.get(f"{tree.url}?as=tar")
    with tarfile.open(fileobj=io.BytesIO(got.content)) as archive:
        held = archive.extractfile("model.bin")
        assert held is not None
        assert held.read() == large
    page = (await client.get(f"/v1/artifacts/sha256:{sha256(large)}")).json()
    assert page["member_of"] == [{"tree": tree.digest, "path": "model.bin"}]


async def test_a_file_in_a_tree_is_found_by_its_own_digest(
    service: Service, client: httpx2.AsyncClient
) -> None:
    url = f"/v1/artifacts/sha256:{sha256(CONTENTS['src/a.py'])}"
    tree = a_tree()
    await send(client, tree, a_pack())
    assert (await client.get(url)).status_code == 404
    await service.check_trees()
    page = (await client.get(url)).json()
    assert page["member_of"] == [{"tree": tree.digest, "path": "src/a.py"}]
    assert (page["size"], page["stored"], page["produced_by"]) == (6, False, [])
    service.clock.advance(1)
    moved = Tree([file("moved%.py", CONTENTS["src/a.py"]), file("twice.py", CONTENTS["src/a.py"])])
    await send(client, moved)
    await service.check_trees()
    page = (await client.get(url)).json()
    assert page["member_of"] == [
        {"tree": moved.digest, "path": "moved%25.py"},
        {"tree": moved.digest, "path": "twice.py"},
        {"tree": tree.digest, "path": "src/a.py"},
    ]
    assert (await client.get(f"/v1/artifacts/{tree.digest}")).json()["member_of"] == []


async def test_a_neighbour_sees_nothing_of_a_tree(service: Service, client: httpx2.AsyncClient) -> None:
    tree = await stored(service, client)
    digests = [sha256(one) for one in CONTENTS.values()]
    async with service.client(TOKENS["other"]) as spy:
        for path in ("", "/manifest", "/layout", "/entries", "?as=tar"):
            assert (await spy.get(f"{tree.url}{path}")).status_code == 404
        assert (await spy.get(f"/v1/artifacts/sha256:{digests[0]}")).status_code == 404
        assert (await spy.get(f"/v1/blobs/{a_pack().digest}")).status_code == 404
        assert (await spy.post("/v1/trees/missing", json={"digests": digests})).json() == {"missing": digests}
        assert (await put_manifest(spy, tree)).status_code == 201
        stolen = await spy.post(tree.url, json={"packs": [a_pack().index]})
        assert (stolen.status_code, stolen.json()["packs"]) == (409, [a_pack().digest])
        assert (await spy.post(tree.url, json={"packs": []})).status_code == 202
        await service.check_trees()
        assert (await spy.get(tree.url)).json()["state"] == "incomplete"


@pytest.mark.parametrize("kind", ["", "application/json", "application/octet-stream"])
async def test_a_manifest_of_another_type_is_refused(client: httpx2.AsyncClient, kind: str) -> None:
    tree = a_tree()
    content = compression.encode(tree.text)
    answer = await client.put(f"{tree.url}/manifest", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 415


async def test_a_proposal_needs_a_manifest(client: httpx2.AsyncClient) -> None:
    assert (await client.post(a_tree().url, json={"packs": []})).status_code == 404


async def test_a_damaged_manifest_layout_or_pack_is_never_served_to_the_end(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await stored(service, client)
    for path, kind in (("/manifest", "trees"), ("/layout", "layouts"), ("?as=tar", "blobs")):
        good = (await client.get(f"{tree.url}{path}")).content
        (stored_file,) = (service.folder / f"data/objects/projects/default/{kind}").rglob("sha256/*/*/*")
        stored_file.chmod(0o600)
        kept = stored_file.read_bytes()
        stored_file.write_bytes(kept[:-1] + bytes((kept[-1] ^ 1,)))
        with capture_logs() as logged:
            cut = await client.get(f"{tree.url}{path}")
        assert cut.content != good
        assert len(cut.content) < len(good)
        assert [one["event"] for one in logged if one["log_level"] == "error"] == ["request.failed"]
        stored_file.write_bytes(kept)
