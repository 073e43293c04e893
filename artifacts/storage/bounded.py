"""Reading objects that are small by their kind, whatever somebody put in their place."""

from __future__ import annotations

from typing import Final

from artifacts.errors import CorruptedError
from artifacts.layout import Key
from artifacts.storage.protocol import ObjectStore

TOO_LARGE: Final = "it is larger than any object of its kind"


async def read_at_most(store: ObjectStore, key: Key, most: int) -> bytes:
    """The object `key`, of which no more than `most` bytes are ever held.

    Raises:
        NotFoundError: there is none.
        CorruptedError: it is longer.
    """
    content = await store.read(key, length=most + 1)
    if len(content) > most:
        raise CorruptedError(TOO_LARGE, key=str(key))
    return content
