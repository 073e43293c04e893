"""Trying a store out before it is trusted: what it must do, and what it does besides.

Everything is tried under keys in `staging/` and `joined/`, so what a broken store keeps is swept.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CustodyError
from artifacts.identifiers import new_ulid
from artifacts.layout import Key
from artifacts.storage.protocol import ObjectStore

REACHED: Final = "bucket"
"""The first check of a bucket; without it no other has a meaning."""
_MIB: Final = 1 << 20


class Verdict(StrEnum):
    """What a finding means: `note` is worth knowing, and nothing rests on it."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    verdict: Verdict
    said: str


@dataclass(frozen=True, slots=True)
class Trial:
    """The store under test, and keys that are nobody else's."""

    store: ObjectStore
    ulid: str
    at: datetime

    def key(self, number: int) -> Key:
        """One of our keys."""
        return layout.part(self.ulid, number)


Check = tuple[str, Callable[[], Awaitable[tuple[Verdict, str]]]]


async def run(checks: list[Check]) -> AsyncIterator[Finding]:
    """Run one check after the other; one that fails says why, and the others go on."""
    for name, check in checks:
        try:
            verdict, said = await check()
        except CustodyError as error:
            verdict, said = Verdict.BAD, told(error)
        yield Finding(name, verdict, said)


def told(error: CustodyError) -> str:
    """An error in one line: what happened, why, and what can be done."""
    reason = error.facts.get("reason") or error.facts.get("code")
    return error.message + (f" ({reason})" if reason else "") + (f"; {error.hint}" if error.hint else "")


def trial(store: ObjectStore, *, at: datetime) -> Trial:
    """Begin to try `store` out."""
    return Trial(store, new_ulid(at), at)


async def clean(on: Trial) -> None:
    """Remove what the checks left; what cannot be removed is swept with what else is stale."""
    with contextlib.suppress(CustodyError):
        async for listed in on.store.list(layout.parts(on.ulid)):
            await on.store.delete(listed.key)


def every_store(on: Trial) -> list[Check]:
    """What every store must do."""
    return [
        ("round trip", lambda: _round_trip(on)),
        ("ranges", lambda: _ranges(on)),
        ("list after write", lambda: _list(on)),
        ("write once", lambda: _write_once(on)),
        ("large objects", lambda: _large(on)),
        ("joined parts", lambda: _joined(on)),
        ("delete", lambda: _delete(on)),
    ]


def judged(right: bool, good: str, bad: str) -> tuple[Verdict, str]:
    """Good or bad, in the words for it."""
    return (Verdict.GOOD, good) if right else (Verdict.BAD, bad)


async def _stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _round_trip(on: Trial) -> tuple[Verdict, str]:
    content = secrets.token_bytes(1000)
    await on.store.put(on.key(1), content)
    back = await on.store.read(on.key(1))
    right = back == content and await on.store.size(on.key(1)) == len(content)
    return judged(right, "what was written is read", "other bytes are read than were written")


async def _ranges(on: Trial) -> tuple[Verdict, str]:
    content = bytes(range(256)) * 8
    await on.store.put(on.key(2), content)
    for start, length in ((0, 1), (100, 300), (2000, None), (2047, 10)):
        wanted = content[start:] if length is None else content[start : start + length]
        if await on.store.read(on.key(2), start=start, length=length) != wanted:
            return Verdict.BAD, f"the range from {start} is wrong"
    return Verdict.GOOD, "ranges are exact"


async def _list(on: Trial) -> tuple[Verdict, str]:
    wanted = {on.key(number) for number in range(10, 15)}
    for key in wanted:
        await on.store.put(key, b"listed")
    found = {listed.key async for listed in on.store.list(layout.parts(on.ulid))}
    return judged(wanted <= found, "new objects are listed at once", "new objects are missing from the list")


async def _write_once(on: Trial) -> tuple[Verdict, str]:
    await on.store.put(on.key(3), b"first")
    await on.store.put(on.key(3), b"second")
    first = await on.store.read(on.key(3)) == b"first"
    return judged(first, "a second write changes nothing", "a second write replaced the first")


async def _large(on: Trial) -> tuple[Verdict, str]:
    content = secrets.token_bytes(9 * _MIB)
    staged = await on.store.stage(_stream(content), at=on.at, limit=len(content))
    await on.store.promote(staged, on.key(4))
    back = b"".join([piece async for piece in on.store.open(on.key(4))])
    right = back == content and staged.digest == Digest.of(content)
    return judged(right, "9 MiB are written in parts, copied, and read back equal", "9 MiB come back changed")


async def _joined(on: Trial) -> tuple[Verdict, str]:
    contents = [secrets.token_bytes(5 * _MIB), b"the end"]
    for number, content in enumerate(contents, 5):
        await on.store.put(on.key(number), content)
    staged = await on.store.assemble([on.key(5), on.key(6)], at=on.at)
    await on.store.discard(staged)
    right = staged.digest == Digest.of(b"".join(contents))
    return judged(right, "parts are joined in order", "joined parts are other bytes")


async def _delete(on: Trial) -> tuple[Verdict, str]:
    await on.store.put(on.key(7), b"to be removed")
    await on.store.delete(on.key(7))
    if await on.store.size(on.key(7)) is not None:
        return Verdict.BAD, "a deleted object is still there"
    await on.store.put(on.key(7), b"written again")
    again = await on.store.size(on.key(7)) == len(b"written again")
    return judged(again, "what is deleted is gone, until it is written again", "its name is gone for ever")
