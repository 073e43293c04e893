"""Refused is for ever, and only who holds the job may say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts import layout
from artifacts.clock import to_milliseconds
from artifacts.digest import Digest
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.sealing import SIGN
from tests.attacks.actors import OpenStep, begin, finish, put
from tests.attacks.planting import plant
from tests.reindex.corpus import objects
from tests.service import Service

pytestmark = pytest.mark.both_databases
_CONTENT = b"what was made"
_BLOB = layout.blob("default", Digest.of(_CONTENT))


async def made(service: Service) -> OpenStep:
    """A finished step whose output was damaged since."""
    async with service.client() as client:
        step = await begin(client)
        await put(client, step, "x", _CONTENT)
        await finish(client, step)
    plant(service, _BLOB, b"what was mad!")
    return step


async def page(service: Service, step: OpenStep) -> tuple[str, int]:
    """The state of the step, and how many statements it has."""
    async with service.client() as client:
        told = (await client.get(step.url)).json()
    return told["state"], len(told["attestations"])


def evidence(service: Service) -> list[Path]:
    """Everything the signer wrote."""
    folders = (objects(service) / "attestations", objects(service) / "projects/default/refusals")
    return [path for folder in folders for path in folder.rglob("*.json")]


async def taken(service: Service, owner: str) -> Job:
    """The step's job, under a lease that has run out by the next call."""
    service.clock.advance(10)
    now = to_milliseconds(service.clock.now())
    async with service.database.writing() as connection:
        (job,) = await queue.take(connection, SIGN, owner=owner, now=now, lease_ms=5_000, limit=9)
    return job


async def test_a_step_that_is_put_on_the_queue_again_stays_refused(service: Service) -> None:
    step = await made(service)
    await service.sign()
    assert await page(service, step) == ("refused", 0)
    plant(service, _BLOB, _CONTENT)
    async with service.database.writing() as connection:
        # As a worker does that completes the sealing too.
        await queue.enqueue(connection, [("default", SIGN, step.id)], available_at=0)
    assert await service.sign() == 1
    assert await page(service, step) == ("refused", 0)
    assert len(evidence(service)) == 1
    async with service.database.reading() as connection:
        assert await queue.depth(connection) == {"hash": 1}


async def test_who_lost_the_job_leaves_no_refusal(service: Service) -> None:
    step = await made(service)
    late, current = await taken(service, "late"), await taken(service, "current")
    await service.attester.attest(late)
    assert evidence(service) == []
    plant(service, _BLOB, _CONTENT)
    await service.attester.attest(current)
    assert await page(service, step) == ("signed", 1)
    assert len(evidence(service)) == 1
