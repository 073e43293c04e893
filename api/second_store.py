"""The second store, from which a scrub heals: a copy of the first that somebody else keeps filled."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from api.settings import Settings
from api.wiring import open_store
from artifacts.errors import InvalidInputError
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore
from artifacts.storage.unchanging import UnchangingStore

_OWN = {
    "s3_endpoint": "second_s3_endpoint",
    "s3_region": "second_s3_region",
    "s3_access_key": "second_s3_access_key",
    "s3_secret_key": "second_s3_secret_key",
}
"""Settings of the first store that the second one may have otherwise."""


def open_second_store(settings: Settings) -> ObjectStore | None:
    """The second store, which is only read; None where none is set.

    Raises:
        InvalidInputError: it is the first one, or a folder that is not there.
    """
    if settings.second_store_url is None:
        return None
    changes = {first: getattr(settings, second) for first, second in _OWN.items()}
    given = {name: value for name, value in changes.items() if value is not None}
    second = settings.model_copy(update={"store_url": settings.second_store_url, **given})
    if (settings.store.rstrip("/"), settings.s3_endpoint) == (second.store.rstrip("/"), second.s3_endpoint):
        raise InvalidInputError("the second store is the first one", hint="set CUSTODY_SECOND_STORE_URL")
    where = urlsplit(second.store)
    return UnchangingStore(
        _folder(Path(unquote(where.path))) if where.scheme == "file" else open_store(second)
    )


def _folder(root: Path) -> ObjectStore:
    if not root.is_dir():
        # It would be made, be empty, and heal nothing.
        raise InvalidInputError("the folder of the second store is not there", hint="is it mounted?")
    return DirectoryStore(root, only_read=True)
