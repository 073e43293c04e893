"""What a scrub looks at, what it leaves out, and what others do meanwhile."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.queries import removals
from artifacts.queries.removals import Thing
from artifacts.scrubbing.areas import NAMES_AT_ONCE, Area
from artifacts.scrubbing.scrubber import Scope
from artifacts.storage.directory import DirectoryStore
from tests.attacks.actors import built
from tests.reindex.corpus import objects
from tests.scrubbing.bench import keys, lying, name, rewrite, scrub, spoil, the
from tests.service import TOKENS, Service, sha256
from tests.trees.shapes import upload

pytestmark = pytest.mark.both_databases
CONTENT = b"a wheel"


async def test_one_project_is_looked_at_alone_and_so_are_its_bundles(service: Service) -> None:
    for token, content in ((TOKENS["default"], b"one"), (TOKENS["other"], b"two")):
        async with service.client(token) as client:
            await built(service, client, content)
    await service.read_back()
    whole = await scrub(service)
    alone = await scrub(service, scope=Scope("other"))
    assert alone.counts["bundles"] == 1
    assert sum(alone.counts.values()) == 5
    assert whole.counts["bundles"] == 2
    for path in lying(service, "attestations"):
        spoil(path)
    assert len(keys(await scrub(service, scope=Scope("other")))) == 1


async def test_only_what_is_new_is_hashed_and_all_that_is_missing_is_found(
    service: Service, client: httpx2.AsyncClient
) -> None:
    from datetime import UTC, datetime, timedelta

    await upload(client, CONTENT)
    await upload(client, b"another")
    spoilt, removed = lying(service, "projects/default/blobs")
    spoil(spoilt)
    removed.unlink()
    later = Scope(since=datetime.now(UTC) + timedelta(hours=1))
    assert keys(await scrub(service, scope=later)) == {name(service, removed)}
    sooner = Scope(since=datetime.now(UTC) - timedelta(hours=1))
    assert len(keys(await scrub(service, scope=sooner))) == 2


async def test_names_that_nobody_here_gives_are_listed_and_are_no_damage(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, CONTENT)
    for stranger in ("projects/default/blobs/sha256/aa/bb/readme", "attestations/sha256/readme"):
        path = objects(service) / stranger
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"hello")
    report = await scrub(service)
    assert report.clean
    assert report.strange == len(report.strangers) == 2


async def test_a_folder_in_the_place_of_an_object_is_damage(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, CONTENT)
    path = the(service, "projects/default/blobs")
    path.unlink()
    path.symlink_to(objects(service))
    second = DirectoryStore(service.folder / "second")
    (found,) = (await scrub(service, second=second, repair=True)).damages
    assert found.reason == "what lies in the store is no object"
    second.close()


async def test_many_names_are_looked_at_a_slice_at_a_time(
    service: Service, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from artifacts.scrubbing import areas

    contents = [f"content {number}".encode() for number in range(40)]
    for content in contents:
        await upload(client, content)
    await service.read_back()
    whole = await scrub(service)
    spoilt = lying(service, "projects/default/blobs")[::7]
    for path in spoilt:
        spoil(path)
    for most in (10, 1):
        monkeypatch.setattr(areas, "NAMES_AT_ONCE", most)
        report = await scrub(service)
        assert report.counts == whole.counts
        assert keys(report) == {name(service, path) for path in spoilt}


def test_slices_cover_every_digest_once_and_come_in_order() -> None:
    for prefix, project in (("projects/x/blobs/sha256/", "x"), ("attestations/sha256/", None)):
        for names in (0, NAMES_AT_ONCE + 1, NAMES_AT_ONCE * 16 + 1, NAMES_AT_ONCE**3):
            slices = list(Area(prefix, "blob", project, detail="").sliced(names))
            assert [one.prefix for one in slices] == sorted(one.prefix for one in slices)
            assert slices[0].first == bytes(32)
            assert slices[-1].last == b"\xff" * 32
            for before, after in pairwise(slices):
                assert int.from_bytes(before.last, "big") + 1 == int.from_bytes(after.first, "big")


async def test_what_is_written_and_removed_meanwhile_is_no_damage(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """Names are listed after rows were read, and bytes are hashed after that."""
    await upload(client, CONTENT)
    await upload(client, b"another")
    gone, rewritten = lying(service, "projects/default/blobs")
    kept = rewritten.read_bytes()

    class Meanwhile:
        """A store in which others work while it lists."""

        def __getattr__(self, called: str) -> Any:  # Any: a method of the store
            return getattr(service.store, called)

        async def list(self, prefix: str) -> Any:
            async for listed in service.store.list(prefix):
                yield listed
            if "/blobs/" in prefix and gone.exists():
                gone.unlink()
                rewrite(rewritten, b"damaged")
                async with service.database.writing() as connection:
                    thing = Thing("default", "blob", Digest("sha256", gone.name))
                    await removals.forget(connection, thing, job="hash")
                rewrite(rewritten, kept)

    report = await scrub(service, store=Meanwhile())
    assert {damage.kind for damage in report.damages} <= {"receipt"}
    assert not [one for one in report.damages if one.kind == "blob"]


def test_what_a_receipt_says_is_held_against_the_index_and_its_form() -> None:
    from artifacts.errors import CorruptedError
    from artifacts.queries.scrubbing import Expected
    from artifacts.scrubbing.areas import item_of
    from artifacts.scrubbing.checks import check_written

    digest = Digest.of(CONTENT)
    key = layout.receipt("default", digest, "api")
    item = item_of(key)
    assert item is not None
    members = {
        "receipt": "custody/v1",
        "kind": "api",
        "project": "default",
        "digest": str(digest),
        "size": 7,
        "hashed_at": "2026-11-22T10:00:00.000Z",
    }

    def check(content: bytes, size: int = 7) -> None:
        check_written(item, Expected(key, size), content, lambda _key, _content: None)

    def written(**changes: object) -> bytes:
        return json.dumps({**members, **changes}, sort_keys=True, separators=(",", ":")).encode()

    check(written())
    for content, size in (
        (written(), 8),
        (written(hashed_at="2026-11-22T10:00:00Z"), 7),
        (written(hashed_at="never"), 7),
        (written(digest=f"sha256:{sha256(b'x')}"), 7),
        (written() + b" ", 7),
        (b"[]", 7),
    ):
        with pytest.raises(CorruptedError):
            check(content, size)
