"""Packing anew and purging, cut off at every call: no tree is ever unreadable, and it ends all the same."""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repacking.bench import (
    DAY,
    Anew,
    assert_readable,
    contents,
    finds,
    got,
    keep,
    key_of,
    pack_of,
    remove,
)
from tests.repacking.cuts import Cut, PowerCutError, reopened
from tests.service import HandClock, Service, a_service
from tests.trees.shapes import Tree, upload

pytestmark = pytest.mark.slow

SECRET = b"a secret that somebody put into a directory by mistake\n"
ALL = contents("src", 24)
ONE = {path: ALL[path] for path in list(ALL)[::4]}
TWO = {path: ALL[path] for path in list(ALL)[:4]}
_MOST = 500
PARTS = 6
"""Every so many calls in one test, so that none takes long."""


@dataclass
class Prepared:
    """A service at rest, to be copied before each cut."""

    folder: Path
    clock: HandClock
    trees: list[tuple[Tree, Mapping[str, bytes]]]
    """Those that must be readable whatever happens."""


async def dying(
    prepared: Prepared, tmp_path: Path, part: int, work: Callable[[Service], Awaitable[object]]
) -> list[tuple[Path, HandClock]]:
    """Copies of `prepared` in which `work` was cut off, each some calls later than the one before."""
    left: list[tuple[Path, HandClock]] = []
    for at in range(1 + part, _MOST, PARTS):
        folder, clock = tmp_path / f"cut-{at}", copy.copy(prepared.clock)
        shutil.copytree(prepared.folder, folder)
        cut = Cut(at)
        async with reopened(folder, clock, cut) as doomed:
            with contextlib.suppress(PowerCutError):
                await work(doomed)
                assert cut.calls < at
        if cut.calls < at:
            return left
        left.append((folder, clock))
    raise AssertionError("it never ends")


async def frayed(tmp_path: Path) -> Prepared:
    async with a_service(tmp_path / "prepared") as service, service.client() as client:
        whole = await keep(service, client, ALL)
        trees = [(await keep(service, client, files), files) for files in (ONE, TWO)]
        await service.read_back()
        await remove(service, whole)
        service.clock.advance(2 * DAY)
        return Prepared(service.folder, service.clock, [(tree, files) for tree, files in trees])


@pytest.mark.parametrize("part", range(PARTS))
async def test_packing_anew_may_be_cut_off_at_any_call(tmp_path: Path, part: int) -> None:
    prepared = await frayed(tmp_path)
    left = await dying(prepared, tmp_path, part, lambda doomed: Anew(doomed).compact())
    print(f"{len(left)} cuts")
    assert len(left) >= 8
    for folder, clock in left:
        async with reopened(folder, clock) as service, service.client() as client:
            for tree, files in prepared.trees:
                await assert_readable(client, tree, files)
            clock.advance(60)
            await Anew(service).settle()
            for tree, files in prepared.trees:
                await assert_readable(client, tree, files)
            clock.advance(2 * DAY)
            await Anew(service).compact()
            clock.advance(2 * DAY)
            await Anew(service).settle()
            for tree, files in prepared.trees:
                await assert_readable(client, tree, files)
            assert await service.store.size(key_of(pack_of(ALL.values()).content)) is None
        shutil.rmtree(folder)


async def leaked(tmp_path: Path) -> Prepared:
    async with a_service(tmp_path / "prepared") as service, service.client() as client:
        await keep(service, client, ALL | {"env": SECRET})
        trees = [(await keep(service, client, files), files) for files in (ONE, TWO)]
        await keep(service, client, {"env": SECRET, "x": b"x"}, pack_of([SECRET, b"x"]))
        await upload(client, SECRET)
        await service.read_back()
        service.clock.advance(2 * DAY)
        return Prepared(service.folder, service.clock, [(tree, files) for tree, files in trees])


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_purge_may_be_cut_off_at_any_call(tmp_path: Path, part: int) -> None:
    prepared = await leaked(tmp_path)
    left = await dying(prepared, tmp_path, part, lambda doomed: Anew(doomed).purge(SECRET))
    print(f"{len(left)} cuts")
    assert len(left) >= 14
    begun = 0
    for folder, clock in left:
        async with reopened(folder, clock) as service, service.client() as client:
            for tree, files in prepared.trees:
                assert await got(client, tree) == files
            clock.advance(3600)
            begun += await service._labour("purge", Anew(service).purger.work)
            await Anew(service).settle()
            if await finds(service.store, SECRET):  # the cut came before anything was written down
                await Anew(service).purge(SECRET)
            assert await finds(service.store, SECRET) == []
            for tree, files in prepared.trees:
                await assert_readable(client, tree, files)
            again = await client.post("/v1/blobs/uploads", content=SECRET)
            assert again.status_code == 410
        shutil.rmtree(folder)
    assert begun >= 3
