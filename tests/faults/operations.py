"""The durable operations of the service, one at a time, in a process that can be killed.

Run as `python -m tests.faults.operations FOLDER OPERATION`; it says on standard output
what it would have told a client. `writev` is used for that and for nothing else, so that
faults injected into other calls do not hit the telling.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from artifacts.content import HASH, Content
from artifacts.db import Database, connect
from artifacts.errors import CustodyError
from artifacts.labour import Labourer
from artifacts.queries.queue import Job
from artifacts.recording import Arriving, Recorder, Target
from artifacts.sealing import SIGN, Finish, Sealer
from artifacts.steps import Outcome, Role
from artifacts.storage.directory import DirectoryStore
from artifacts.upkeep import Upkeep
from artifacts.wire import FinishBody
from provenance.attest import Attester
from provenance.signers.local import LocalSigner

PUBLIC_URL: Final = "http://custody.test"
CONTENT: Final = b"bytes under fire" * 1000
PRINCIPAL: Final = "token:" + f"01K{0:023d}"
TO_PUT, TO_FINISH, TO_ATTEST = (f"01M8000000000000000000000{n}" for n in "123")
OPERATIONS: Final = ("put", "finish", "attest", "read_back")


@dataclass
class Still:
    """A clock that stands where every test begins, until it is moved."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 10, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment


@dataclass
class Reopened:
    """The parts behind a service, without its HTTP: a child that starts quickly is killed more often."""

    folder: Path
    database: Database
    store: DirectoryStore
    clock: Still

    @property
    def content(self) -> Content:
        return Content(self.database, self.store, self.clock)

    @property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.database, self.store, self.clock)

    async def work(self, kind: str) -> None:
        """Let the signer or the worker take what is on its queue."""
        signer = LocalSigner.open(self.folder / "keys" / "local.pem")
        attester = Attester(self.database, self.store, self.clock, signer=signer, public_url=PUBLIC_URL)
        work = attester.attest if kind == SIGN else self.upkeep.read_back
        labourer = Labourer(self.database, self.clock, kind, "test", work, _raise)
        while await labourer.round():
            pass


def _raise(_: Job, error: Exception) -> None:
    raise error


@asynccontextmanager
async def reopened(folder: Path) -> AsyncIterator[Reopened]:
    """The service over a folder that exists already, as after a crash."""
    path = folder / "data" / "index" / "custody.db"
    database = connect(f"sqlite+aiosqlite:///{path}")
    store = DirectoryStore(folder / "data" / "objects")
    try:
        yield Reopened(folder, database, store, Still())
    finally:
        await database.close()
        store.close()


async def perform(service: Reopened, operation: str) -> None:
    """Do one operation; when this returns it is acknowledged."""
    match operation:
        case "put":

            async def content() -> AsyncIterator[bytes]:
                yield CONTENT

            arriving = Arriving("x", Role.OUTPUT, by_step=True)
            recorder = Recorder(service.database, service.store, service.clock)
            await recorder.receive_output(Target("default", PRINCIPAL, TO_PUT), arriving, content())
        case "finish":
            body = FinishBody(outcome=Outcome.SUCCEEDED)
            sealer = Sealer(service.database, service.store, service.clock)
            await sealer.seal(Finish("default", TO_FINISH, body, principal=PRINCIPAL))
        case "attest":
            await service.work(SIGN)
        case "read_back":
            await service.work(HASH)


def tell(what: str) -> None:
    """Say to whoever waits what became of it."""
    os.writev(1, [what.encode()])


async def _main(folder: Path, operation: str) -> None:
    async with reopened(folder) as service:
        tell("began\n")
        try:
            await perform(service, operation)
        except CustodyError as error:
            tell(f"refused {error.slug}\n")
        except Exception as error:  # a fault may surface as anything
            tell(f"failed {type(error).__name__}\n")
        else:
            tell("acked\n")
        # Closing tidies up; a crash does not.
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
