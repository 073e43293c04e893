"""A store that does not answer is no reason to believe anything about what lies in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from artifacts.errors import UnavailableError
from artifacts.layout import Key
from artifacts.storage.unchanging import UnchangingStore
from artifacts.tokens import Tokens
from provenance.reindex.reindexer import Reindexer
from provenance.reindex.report import Report
from tests.attacks.actors import begin, finish
from tests.attacks.planting import honest, status
from tests.reindex.corpus import believing, looking, reindex
from tests.service import TOKENS, Service
from tests.trees.shapes import a_pack, a_tree, send


class Away(UnchangingStore):
    """The store of `service`, which does not answer where a key has `folder` in it."""

    def __init__(self, service: Service, folder: str) -> None:
        super().__init__(service.store)
        self._folder = folder

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """Read, or fail."""
        if self._folder in str(key):
            raise UnavailableError("the object store does not answer")
        return await super().read(key, start=start, length=length)


async def test_an_outage_while_a_tree_is_filed_is_not_reported_as_damage(
    service: Service, fresh: Service
) -> None:
    async with service.client() as client:
        await send(client, a_tree(), a_pack())
        await service.check_trees()
    report = Report()
    away = Reindexer(fresh.database, Away(fresh, "/layouts/"), fresh.clock, believing(fresh), report=report)
    with pytest.raises(UnavailableError):
        await away.run()
    assert report.quarantined == []


async def test_a_revoked_token_stays_revoked_however_early_a_reindex_ends(
    service: Service, fresh: Service
) -> None:
    await honest(service)
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    await issuing.revoke("other", f"01K{1:023d}")
    away = Away(fresh, "attestations/")
    with pytest.raises(UnavailableError):
        await Reindexer(fresh.database, away, fresh.clock, believing(fresh)).run()
    assert await status(fresh, "/v1/artifacts?name=x", TOKENS["other"]) == 401
    assert await status(fresh, "/v1/artifacts?name=x") == 200


async def test_nothing_is_signed_while_a_bundle_cannot_be_looked_at(service: Service, fresh: Service) -> None:
    async with service.client() as client:
        await finish(client, await begin(client))
    await reindex(fresh)  # the copy: it knows the step, and not what is signed now
    await service.sign()
    away = Away(service, "attestations/")
    check = replace(looking(service), store=away)
    await check.check(now=service.clock.now())  # every bundle is known by its name
    with pytest.raises(UnavailableError):
        await replace(check, database=fresh.database).check(now=service.clock.now())
