"""What a signer was cut off at is logged once it is signed, and not before."""

from __future__ import annotations

import pytest

from artifacts.errors import UnavailableError
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.sealing import SIGN
from tests.attacks.actors import begin, finish
from tests.service import Service

pytestmark = pytest.mark.both_databases


async def to_sign(service: Service, *, now: int) -> Job:
    """The job of the one step that is to be signed, as its lease says at `now`."""
    async with service.database.writing() as connection:
        [job] = await queue.take(connection, SIGN, owner="test", now=now, lease_ms=1, limit=1)
    return job


async def test_a_step_is_signed_before_it_is_logged_wherever_its_signer_was_cut_off(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service.client() as client:
        opened = await begin(client)
        await finish(client, opened)
        first = await to_sign(service, now=1 << 50)

        async def cut_off(*_: object, **__: object) -> None:
            raise UnavailableError("the signer was killed")

        with monkeypatch.context() as patched:
            patched.setattr(type(service.attester), "_settle", cut_off)
            with pytest.raises(UnavailableError):
                await service.attester.attest(first)
        assert await service.appender().fill() == 0
        await service.attester.attest(await to_sign(service, now=1 << 51))
        assert await service.log() == 1
        page = (await client.get(opened.url)).json()
    assert [entry["state"] for entry in page["ledger"]] == ["open", "sealed", "signed", "logged"]
