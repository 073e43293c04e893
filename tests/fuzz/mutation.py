"""The built-in mutation loop, for where atheris is not installed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from tests.fuzz.harnesses import DOCUMENTED, Harness

# What parsers of JSON, base64, digests and URIs trip over.
_TOKENS = (
    b'"', b"\\", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN",
    b"-0", b"1e999", b"9007199254740993", b"\xff", b"\xef\xbb\xbf", b"\x00", b"=", b"==", b"+", b"-", b"_",
    b'"keyid":null', b'"payload":1,', b"%2F", b"..", b"/", b"@", b"sha256:", b"\xe2\x80\xae", b"[" * 70,
)  # fmt: skip


class Finding(Exception):  # noqa: N818 - it is what a fuzzer finds, not an error of ours
    """An input on which a harness did what it should not; `data` reproduces it."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(f"{name} failed on {data[:2000]!r}")
        self.data = data


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(_TOKENS) + data[at:]


def _delete(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + data[at + chance.randint(1, 8) :]


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    begin = chance.randint(0, len(data))
    end = min(len(data), begin + chance.randint(1, 64))
    return data[:end] + data[begin:end] * chance.randint(1, 3) + data[end:]


_CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (_insert, _delete, _flip, _repeat)


def attempt(harness: Harness, data: bytes) -> None:
    """Run `harness` once.

    Raises:
        Finding: it raised something that is not documented.
    """
    try:
        harness.fuzz_one(data)
    except DOCUMENTED:
        return
    except Exception as error:
        raise Finding(harness.name, data) from error


def run(harness: Harness, *, seconds: float, seed: int) -> int:
    """Mutate the seeds of `harness` for `seconds`; return how many inputs were tried.

    Raises:
        Finding: an input on which the harness failed.
    """
    chance = random.Random(seed)
    seeds = harness.seeds()
    for data in seeds:
        attempt(harness, data)
    tried, until = len(seeds), time.monotonic() + seconds
    while time.monotonic() < until:
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_CHANGES)(data, chance)
        attempt(harness, data)
        tried += 1
    return tried
