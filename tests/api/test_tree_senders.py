"""Which step sent a tree is remembered for as long as its token is good, and no longer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from artifacts.tables import tree_sender
from tests.attacks.actors import begin, finish
from tests.service import Service
from tests.trees.shapes import a_pack, a_tree, send

pytestmark = pytest.mark.both_databases


async def remembered(service: Service) -> int:
    """How much is remembered once the worker has tidied up."""
    await service.upkeep.tidy()
    async with service.database.reading() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(tree_sender)) or 0


async def test_senders_are_forgotten_once_their_token_has_ended(service: Service) -> None:
    async with service.client() as client:
        step = await begin(client, expires_in=60)
        other = await begin(client, expires_in=600)
        for one in (step, other):
            async with service.client(one.token) as own:
                await send(own, a_tree(), a_pack())
        assert await remembered(service) == 2
        await finish(client, step)
    assert await remembered(service) == 2
    service.clock.advance(61)
    assert await remembered(service) == 1
    service.clock.advance(600)
    assert await remembered(service) == 0
