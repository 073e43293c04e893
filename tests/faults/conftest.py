"""A folder in which every operation has something to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts.recording import Arriving, Beginning, Target
from artifacts.sealing import Finish
from artifacts.steps import Outcome, Role
from artifacts.wire import FinishBody
from tests.faults.operations import CONTENT, PRINCIPAL, TO_ATTEST, TO_FINISH, TO_PUT
from tests.service import Service, a_service


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step to put to, one to finish, one to attest, and a blob to be read back."""
    folder = tmp_path_factory.mktemp("prepared")
    asyncio.run(_prepare(folder))
    return folder


async def _prepare(folder: Path) -> None:
    async with a_service(folder) as service:
        for number, step in enumerate((TO_PUT, TO_FINISH, TO_ATTEST)):
            await _begin(service, step, number)
        for step, content in ((TO_FINISH, CONTENT + b"!"), (TO_ATTEST, CONTENT + b"?")):
            await _put(service, step, content)
        body = FinishBody(outcome=Outcome.SUCCEEDED)
        await service.parts.sealer.seal(Finish("default", TO_ATTEST, body, principal=PRINCIPAL))


async def _begin(service: Service, step: str, number: int) -> None:
    beginning = Beginning(
        project="default",
        principal=PRINCIPAL,
        step=step,
        run=None,
        name="build",
        token_hash=bytes([number]) * 32,
        begun='{"name":"build"}',
        source=None,
        seconds=3600,
    )
    await service.parts.recorder.begin_step(beginning)


async def _put(service: Service, step: str, content: bytes) -> None:
    async def pieces() -> object:
        yield content

    target = Target("default", PRINCIPAL, step)
    await service.parts.recorder.receive_output(target, Arriving("x", Role.OUTPUT, by_step=True), pieces())  # type: ignore[arg-type]  # an async generator
