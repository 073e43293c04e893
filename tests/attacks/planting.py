"""Writing to the bucket behind the back of a service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.record_codec import encode
from tests.attacks.actors import OpenStep, built
from tests.reindex.corpus import journal_tokens, objects
from tests.service import TOKENS, Service, reference

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
MEMBERS = {
    "run": "01K" + "2" * 23,
    "name": "build",
    "principal": "token:01K" + "0" * 23,
    "via": "record",
    "outcome": "succeeded",
    "began_at": "2026-11-22T10:00:00.000Z",
    "finished_at": "2026-11-22T10:00:00.000Z",
    "command": [],
    "parameters": {},
    "environment": {},
    "reported": {},
    "inputs": [],
    "outputs": [{**reference(b"planted"), "name": "x", "received": True}],
    "byproducts": [],
}


def plant(service: Service, key: Key | str, content: bytes) -> Path:
    """Write an object as the bucket's own credentials can."""
    path = objects(service) / str(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def a_line(step: str, project: str = "default", **changes: object) -> bytes:
    """A record that follows its format."""
    return encode({"project": project, "step": step, **MEMBERS, **changes})


def a_segment(step: str, line: bytes, project: str = "default") -> Key:
    """Where a segment with that line would lie."""
    return layout.segment(project, step, Digest.of(line + b"\n"), AT)


def changed(service: Service, folder: str, change: Callable[[bytes], bytes]) -> Path:
    """Change the only object below `folder`."""
    (path,) = (objects(service) / folder).rglob("*.*")
    return plant(service, str(path.relative_to(objects(service))), change(path.read_bytes()))


async def honest(service: Service) -> OpenStep:
    """Tokens in the journal, and one signed step."""
    await journal_tokens(service)
    async with service.client() as client:
        return await built(service, client)


async def status(service: Service, url: str, token: str = TOKENS["default"]) -> int:
    """The status of the answer to a question."""
    async with service.client(token) as client:
        return (await client.get(url)).status_code
