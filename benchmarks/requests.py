"""The requests that both sides get, told apart by a number, so that any process can make them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

KNOWN = 50
"""Look-ups ask for outputs of this many of the first steps recorded."""
TOGETHER = 1000
"""Digests of one question that asks for many."""
OUTPUTS = 6
"""Outputs of a step, beside its inputs."""
_INPUTS, _BACK = 4, 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before it is written."""

    method: str
    path: str
    body: bytes = b""


def written(asked: Asked, *, host: str, token: str) -> bytes:
    """The bytes of `asked` in HTTP/1.1."""
    head = (
        f"{asked.method} {asked.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(asked.body)}\r\n\r\n"
    )
    return head.encode() + asked.body


def record(number: int) -> Asked:
    """A finished step with 10 artifacts; its inputs are outputs of an earlier one."""
    earlier = number - _BACK
    body = {
        "name": "build",
        "command": ["make", "dist"],
        "outcome": "succeeded",
        "exit_status": 0,
        "inputs": [reference(earlier, index) for index in range(_INPUTS)],
        "outputs": [reference(number, index) for index in range(OUTPUTS)],
    }
    return Asked("POST", "/v1/records", json.dumps(body).encode())


def upload(number: int) -> Asked:
    """The bytes of every other of the digests that `missing` asks for."""
    return Asked("POST", "/v1/blobs/uploads", content(2 * number // OUTPUTS, 2 * number % OUTPUTS))


UPLOADS = TOGETHER // 2
"""How many there are of them."""


def missing(number: int) -> Asked:
    """Many digests at once: whether the bytes of each are stored; half of them are."""
    return _missing((number + some) % TOGETHER for some in range(TOGETHER))


def missing_one(number: int) -> Asked:
    """The same question about one of these digests."""
    return _missing([number * 7919 % TOGETHER])


def _missing(numbers: Iterable[int]) -> Asked:
    digests = [f"sha256:{digest(one // OUTPUTS, one % OUTPUTS)}" for one in numbers]
    return Asked("POST", "/v1/blobs/missing", json.dumps({"digests": digests}).encode())


def lookup(number: int, among: int = KNOWN) -> Asked:
    """One of the artifacts that the first steps made, `among` so many."""
    return Asked("GET", f"/v1/artifacts/sha256:{digest(number * 7919 % among, number % OUTPUTS)}")


def digest(step: int, index: int) -> str:
    """The sha256 of output `index` of step number `step`."""
    return hashlib.sha256(content(step, index)).hexdigest()


def content(step: int, index: int) -> bytes:
    """The bytes of output `index` of step number `step`."""
    return b"%d/%d" % (step, index)


def reference(step: int, index: int) -> dict[str, Any]:  # Any: JSON
    """Output `index` of step number `step` as records name it."""
    name = f"dist/part-{index}.bin"
    uri = f"https://store.example/{step}/{name}"
    return {"name": name, "uri": uri, "digest": {"sha256": digest(step, index)}}
