"""Collecting by an index that was filled again: not before it is whole, and not before a grace period is over."""

from __future__ import annotations

import pytest

from artifacts.errors import EvidenceError
from artifacts.queries import reindexing
from tests.collecting import DAY, is_here, named, present_tree
from tests.reindex.corpus import reindex
from tests.service import Service

pytestmark = pytest.mark.both_databases
RULES = '[[rule]]\nolder_than = "1d"\n'


async def test_nothing_goes_for_one_grace_period_after_a_reindex(service: Service, fresh: Service) -> None:
    async with service.client() as client:
        await named(client, b"old", "x")
        await present_tree(service, client)
    service.clock.advance(DAY * 30)
    await reindex(fresh)
    assert not (await fresh.collect(RULES)).things
    service.clock.advance(DAY - 1)
    assert not (await fresh.collect(RULES)).things
    service.clock.advance(2)
    assert (await fresh.collect(RULES)).things["default", "tree", "rule"] == 1
    async with fresh.database.reading() as connection:
        assert not await reindexing.is_filing(connection)


async def test_a_reindex_that_was_cut_off_has_to_end_before_anything_goes(service: Service) -> None:
    async with service.client() as client:
        old = await named(client, b"old", "x")
        service.clock.advance(DAY * 2)
        async with service.database.writing() as connection:
            await reindexing.begin_filing(connection, now=1)
            await reindexing.begin_filing(connection, now=1)
        with pytest.raises(EvidenceError, match="has not ended"):
            await service.collect(RULES)
        assert await is_here(client, old)
        async with service.database.writing() as connection:
            await reindexing.end_filing(connection)
        assert (await service.collect(RULES)).things
        assert not await is_here(client, old)
