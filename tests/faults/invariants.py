"""What must hold after any crash or fault, and after the operation was done again."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from artifacts import layout
from artifacts.content import HASH
from artifacts.control import CONTROL
from artifacts.digest import Digest
from artifacts.labour import LEASE_MS
from artifacts.queries.uploads import UploadState
from artifacts.removal import REMOVE
from artifacts.trees import compression, receipts, tar
from artifacts.trees.contents import TreeContents
from artifacts.trees.taking import CHECK
from artifacts.uploads import JOIN
from tests.attacks.remains import query
from tests.attacks.statements import statements
from tests.faults.operations import (
    CONTENT,
    LARGE,
    OPERATIONS,
    PROJECT,
    SMALL,
    TO_ATTEST,
    TO_COLLECT,
    TO_FINISH,
    TO_JOIN,
    TO_PUT,
    TREE_TO_CHECK,
    TREE_TO_COLLECT,
    TREE_TO_PUT,
    a_tree,
)
from tests.faults.reopened import Reopened, reopened

ACKED: Final = "acked"


async def assert_sound(folder: Path, operation: str, said: Sequence[str]) -> None:
    """What was acknowledged is there; what was not is absent or whole; doing it again completes it."""
    async with reopened(folder) as service:
        await _assert_rows_have_their_bytes(service)
        await _assert_kept(service, said)
        if ACKED in said:
            await _DONE[operation](service)
        # A lease that a dead process holds ends by itself.
        service.clock.moment += timedelta(milliseconds=LEASE_MS + 1)
        await OPERATIONS[operation](service, lambda _: None, said)
        await service.upkeep.tidy()
        await _DONE[operation](service)
        await _assert_rows_have_their_bytes(service)
        await _assert_swept(service)


async def _assert_kept(service: Reopened, said: Sequence[str]) -> None:
    """Each thing that was acknowledged on the way is there."""
    upload = next((word.removeprefix("upload ") for word in said if word.startswith("upload ")), None)
    if upload is not None:
        progress = await service.uploads.progress(PROJECT, upload)
        parts = {int(word.removeprefix("part ")) for word in said if word.startswith("part ")}
        assert progress.row.state is not UploadState.OPEN or parts <= set(progress.received)
    tree, pack = a_tree(TREE_TO_PUT)
    if "pack" in said:
        assert await _read(service, Digest.parse(pack.digest)) == pack.content
    if "manifest" in said:
        assert (await service.trees.find(PROJECT, Digest.parse(tree.digest))).entries == len(tree.entries)


async def _read(service: Reopened, digest: Digest) -> bytes:
    await service.content.size(PROJECT, digest)
    return b"".join([piece async for piece in service.content.open(PROJECT, digest)])


async def _assert_rows_have_their_bytes(service: Reopened) -> None:
    """Whatever a row vouches for can be read, and hashes to its name."""
    data = service.folder / "data"
    for (raw,) in query(data, "SELECT DISTINCT digest FROM receipt"):
        assert hashlib.sha256(await _read(service, Digest.sha256(raw))).digest() == raw
    kept = "SELECT digest, record FROM attestation JOIN step ON step.id = attestation.step"
    for raw, bundle in query(data, kept):
        # Until its object is durable the bundle is in the row.
        path = data / "objects" / "attestations" / "sha256" / f"{raw.hex()}.json"
        assert hashlib.sha256(bundle or path.read_bytes()).digest() == raw
    for segment, start, length, raw in query(
        data,
        "SELECT segment, segment_start, segment_length, record_digest FROM step WHERE segment IS NOT NULL",
    ):
        line = (data / "objects" / segment).read_bytes()[start : start + length]
        assert hashlib.sha256(line).digest() == raw
    lost = "SELECT id FROM step WHERE state = 'sealing' AND record IS NULL"
    assert query(data, lost) == []
    await _assert_trees_have_their_bytes(service)


async def _assert_trees_have_their_bytes(service: Reopened) -> None:
    data = service.folder / "data"
    for digest, stored, state, placed, placed_stored in query(
        data, "SELECT digest, stored, state, layout, layout_stored FROM tree"
    ):
        tree = Digest.sha256(digest)
        manifest = await service.store.read(layout.manifest(PROJECT, tree))
        assert hashlib.sha256(manifest).digest() == stored
        if state == "present":
            text = await service.store.read(layout.tree_layout(PROJECT, Digest.sha256(placed)))
            assert hashlib.sha256(text).digest() == placed_stored
            assert await receipts.read(service.store, PROJECT, tree) is not None
    for digest, pack, offset, length, unfolded, start, size in query(
        data, "SELECT digest, pack, frame_offset, frame_length, frame_size, start, size FROM location"
    ):
        frame = await service.store.read(
            layout.blob(PROJECT, Digest.sha256(pack)), start=offset, length=length
        )
        content = compression.decode(frame, size=unfolded)[start : start + size]
        assert hashlib.sha256(content).digest() == digest


async def _put_is_done(service: Reopened) -> None:
    data = service.folder / "data"
    found = query(data, "SELECT size, received FROM step_output WHERE step = ?", TO_PUT)
    assert found == [(len(CONTENT), 1)]
    assert await _read(service, Digest.of(CONTENT)) == CONTENT


async def _parts_are_complete(service: Reopened) -> None:
    await service.work(JOIN)
    assert await _read(service, Digest.of(LARGE)) == LARGE


async def _small_parts_are_joined(service: Reopened) -> None:
    # What lay there already when the api came to it is read back by the worker, and by nobody else.
    await service.work(JOIN)
    assert await _read(service, Digest.of(SMALL)) == SMALL


async def _joined(service: Reopened) -> None:
    assert query(service.folder / "data", "SELECT id FROM queue WHERE kind = ?", JOIN) == []
    assert await _read(service, Digest.of(TO_JOIN)) == TO_JOIN


async def _tree_is_put(service: Reopened) -> None:
    await service.work(CHECK)
    await _assert_tree_is_equal(service, TREE_TO_PUT)


async def _tree_is_checked(service: Reopened) -> None:
    assert query(service.folder / "data", "SELECT id FROM queue WHERE kind = ?", CHECK) == []
    await _assert_tree_is_equal(service, TREE_TO_CHECK)


async def _assert_tree_is_equal(service: Reopened, name: str) -> None:
    """Each entry comes out as it went in."""
    tree, _ = a_tree(name)
    contents = TreeContents(service.database, service.store, service.content, PROJECT)
    written = tar.stream(service.store, contents, PROJECT, Digest.parse(tree.digest))
    archive = io.BytesIO(b"".join([piece async for piece in written]))
    with tarfile.open(fileobj=archive) as opened:
        found = {
            member.name: hashlib.sha256(_content(opened, member)).digest()
            for member in opened
            if not member.isdir()
        }
    assert found == {entry.path.decode(): entry.digest for entry in tree.entries if entry.kind != "d"}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.issym():
        return member.linkname.encode()
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()


async def _finished(service: Reopened) -> None:
    data = service.folder / "data"
    ((state, outcome),) = query(data, "SELECT state, outcome FROM step WHERE id = ?", TO_FINISH)
    assert (state in {"sealing", "sealed"}, outcome) == (True, "succeeded")


async def _attested(service: Reopened) -> None:
    data = service.folder / "data"
    assert query(data, "SELECT state FROM step WHERE id = ?", TO_ATTEST) == [("signed",)]
    assert len(query(data, "SELECT digest FROM attestation")) == 1
    assert len(statements(data)) == 1


async def _have_been_read_back(service: Reopened) -> None:
    data = service.folder / "data"
    assert query(data, "SELECT id FROM queue WHERE kind = ?", HASH) == []
    seen = {digest for (digest,) in query(data, "SELECT digest FROM receipt WHERE kind = 'worker'")}
    _, pack = a_tree(TREE_TO_CHECK)
    for content in (CONTENT + b"!", CONTENT + b"?", pack.content):
        assert Digest.of(content).raw in seen


async def _is_collected(service: Reopened) -> None:
    data = service.folder / "data"
    assert query(data, "SELECT id FROM queue WHERE kind = ?", REMOVE) == []
    tree, pack = a_tree(TREE_TO_COLLECT)
    gone = {Digest.of(TO_COLLECT).hex, Digest.parse(tree.digest).hex}
    assert [path for path in (data / "objects").rglob("*") if path.name.partition(".")[0] in gone] == []
    rows = query(data, "SELECT digest, state, generation, gone_at IS NOT NULL FROM tombstone")
    assert {row[0].hex() for row in rows} >= gone
    assert {row[1:] for row in rows} == {("gone", 1, 1)}
    told = {topic for (topic,) in query(data, "SELECT topic FROM queue WHERE kind = ?", CONTROL)}
    assert told >= {f"tombstone/blob/{Digest.of(TO_COLLECT).hex}/1", f"tombstone/tree/{tree.digest[7:]}/1"}
    # What a step that is not signed yet has named stays, and so does a pack that it may still name.
    for content in (CONTENT + b"!", CONTENT + b"?", pack.content):
        assert await _read(service, Digest.of(content)) == content


_DONE: Final[Mapping[str, Callable[[Reopened], Awaitable[None]]]] = {
    "put": _put_is_done,
    "resumable": _parts_are_complete,
    "resumable_small": _small_parts_are_joined,
    "join": _joined,
    "tree": _tree_is_put,
    "check": _tree_is_checked,
    "read_back": _have_been_read_back,
    "finish": _finished,
    "attest": _attested,
    "collect": _is_collected,
}


async def _assert_swept(service: Reopened) -> None:
    """What is half written lies in staging and beside it alone, and goes after a day."""
    service.clock.moment = datetime.now(UTC) + timedelta(days=2)
    await service.upkeep.tidy()
    data = service.folder / "data"
    needed = {id_ for (id_,) in query(data, "SELECT id FROM upload WHERE state = 'checking'")}
    left = [*(data / "objects" / "staging").iterdir(), *(data / "objects" / "joined").iterdir()]
    assert [path.name for path in left if path.name.partition("-")[0] not in needed] == []
