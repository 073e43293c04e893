"""Public keys as objects, so that whoever serves them needs no access to the private ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from artifacts import layout
from artifacts.clock import written
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import loads
from artifacts.wire import Wire, canonical
from provenance.keys import PublicKey

ALGORITHM = "ecdsa-p256-sha256"


class _KeyBody(Wire):
    key: Literal["custody/v1"]
    keyid: str
    builder_id: str
    algorithm: str
    public_key: str
    created_at: str


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A public key and the builder it speaks for."""

    keyid: str
    builder_id: str
    algorithm: str
    public_key: str
    created_at: str


async def publish(store: ObjectStore, key: PublicKey, *, builder_id: str, at: datetime) -> None:
    """Write the public half of a key, and whom it speaks for; the first writing of the pair stays."""
    pem = key.pem
    members = {
        "key": "custody/v1",
        "keyid": key.keyid,
        "builder_id": builder_id,
        "algorithm": ALGORITHM,
        "public_key": pem,
        "created_at": written(at),
    }
    await store.put(
        layout.public_key(Digest.of(f"{builder_id}\n{pem}".encode())), canonical(members).encode()
    )


async def published(store: ObjectStore) -> list[PublishedKey]:
    """Every published key, oldest first.

    Raises:
        CorruptedError: one of the objects is not a published key.
    """
    found = [parse(await store.read(listed.key)) async for listed in store.list("control/keys/")]
    return sorted(found, key=lambda one: (one.created_at, one.keyid))


def parse(content: bytes) -> PublishedKey:
    """Read an object of `control/keys/`.

    Raises:
        CorruptedError: it is not a published key.
    """
    try:
        body = _KeyBody.model_validate(loads(content))
        key = PublicKey.from_pem(body.public_key.encode())
    except (ValidationError, InvalidInputError, LimitExceededError) as error:
        raise CorruptedError("a published key cannot be read") from error
    if key.keyid != body.keyid:
        raise CorruptedError("a published key is not the one it names", keyid=body.keyid)
    return PublishedKey(body.keyid, body.builder_id, body.algorithm, body.public_key, body.created_at)
