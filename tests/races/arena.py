"""Where races are held: several apis and signers in one process that share an index and a store, nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI

from api.app import create_app
from api.parts import assemble
from api.settings import Settings
from artifacts.db import connect
from artifacts.labour import Labourer
from artifacts.sealing import SIGN
from artifacts.storage.directory import DirectoryStore
from tests.races.history import UNSURE, Event, Told
from tests.service import PUBLIC_URL, TOKENS, Service, a_service

SIGNERS: Final = 3
_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Asking:
    """A request as it goes over the wire."""

    method: str
    path: str
    body: bytes | Mapping[str, object] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def is_unavailable(self) -> bool:
        """Whether nothing is known of what was asked: an index under load lets a request wait in vain."""
        return self.status == 503 and b"#being-removed" not in self.body

    @property
    def json(self) -> Any:  # Any: JSON
        """The body, read."""
        return orjson.loads(self.body)


@dataclass
class Arena:
    """Apis and signers, each with connections of its own, and a clock that only counts."""

    service: Service
    apis: list[FastAPI]
    signers: list[Service]
    chance: random.Random
    moments: Iterable[int] = field(default_factory=itertools.count)
    requests: int = 0
    usual: float = 0.0
    """Seconds that an answer takes, so that requests can be spread over those of others."""
    collecting: float = 0.3
    """Seconds that the last collection took."""
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.service.folder / "data"

    def moment(self) -> int:
        """A number that is larger than all before."""
        return next(iter(self.moments))

    async def ask(self, asking: Asking) -> Answer:
        """Ask one of the apis, whichever."""
        answer = await _sent(self.chance.choice(self.apis), asking)
        self.requests += 1
        self.statuses[answer.status] += 1
        return answer

    async def event(
        self,
        asked: tuple[str, ...],
        asking: Asking,
        told: Callable[[Answer], Told] = lambda answer: answer.status,
    ) -> Event:
        """Ask, and note when and what was told."""
        called, began = self.moment(), time.monotonic()
        answer = await self.ask(asking)
        self.usual += (time.monotonic() - began - self.usual) / 10
        heard = UNSURE if answer.is_unavailable else told(answer)
        return Event(asked, heard, called, self.moment())

    async def insist(self, asking: Asking) -> Answer:
        """Ask until the service is available."""
        for _ in range(_TRIES):
            answer = await self.ask(asking)
            if not answer.is_unavailable:
                return answer
        raise AssertionError(f"{asking.path} was never answered: {answer.body!r}")

    async def sign(self) -> None:
        """Let all signers take what is on the queue, at the same time, until nothing is left."""
        failures: list[object] = []

        async def drain(number: int, signer: Service) -> None:
            note = lambda job, error: failures.append((job, error))  # noqa: E731  # two words, one use
            labourer = Labourer(
                signer.database, signer.clock, SIGN, f"s{number}", signer.attester.attest, note
            )
            while await labourer.round():
                pass

        await asyncio.gather(*(drain(number, signer) for number, signer in enumerate(self.signers)))
        assert failures == []

    async def together(self, events: Iterable[Awaitable[Event]], *, spread: float = 0) -> list[Event]:
        """All at once, begun in any order, or `spread` over so many seconds."""
        shuffled = list(events)
        self.chance.shuffle(shuffled)
        return list(await asyncio.gather(*(self._late(event, spread) for event in shuffled)))

    async def _late(self, event: Awaitable[Event], spread: float) -> Event:
        if spread:
            await asyncio.sleep(self.chance.random() * spread)
        return await event


@asynccontextmanager
async def an_arena(folder: Path, index: str | None, *, seed: int) -> AsyncIterator[Arena]:
    """Apis and signers over SQLite, or over the migrated PostgreSQL database at `index`.

    SQLite has one api, as `custody-server serve` has; PostgreSQL has three.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_quiet())
        service = await stack.enter_async_context(a_service(folder, index=index))
        url = index or Settings(data=folder / "data").index_url
        others = [_another(service, url, stack) for _ in range(SIGNERS)]
        replicas = [service] if index is None else [service, *others[1:]]
        apis = [create_app(one.parts) for one in replicas]
        yield Arena(service, apis, others, random.Random(seed))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a line for each request or refusal: some fifty thousand are made."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)


def _another(service: Service, url: str, stack: AsyncExitStack) -> Service:
    """A replica that shares nothing in memory."""
    database = connect(url)
    stack.push_async_callback(database.close)
    store = DirectoryStore(service.folder / "data" / "objects")
    stack.callback(store.close)
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=database,
        store=store,
        clock=service.clock,
        seal=service.seal,
    )
    return dataclasses.replace(service, parts=parts, store=store)


async def _sent(app: FastAPI, asking: Asking) -> Answer:
    """One request straight into the application: a client library would cost more than the service."""
    body = asking.body if isinstance(asking.body, bytes) else orjson.dumps(asking.body)
    given = {
        "host": "custody.test",
        "authorization": f"Bearer {TOKENS['default']}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **asking.headers,
    }
    path, _, query = asking.path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asking.method,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "server": ("custody.test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    unread = [{"type": "http.request", "body": body, "more_body": False}]
    ended = asyncio.Event()
    status, parts = 0, bytearray()

    async def receive() -> dict[str, object]:
        if unread:
            return unread.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # Any: an ASGI message
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.extend(message.get("body", b""))
            if not message.get("more_body", False):
                ended.set()

    await app(scope, receive, send)
    return Answer(status, bytes(parts))
