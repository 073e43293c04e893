"""Building the parts from the settings; the only place that chooses implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from api.parts import Fences, Parts, assemble
from api.quotas import Allowed
from api.settings import Settings
from artifacts.clock import SystemClock
from artifacts.db import Database, Patience, connect
from artifacts.errors import InvalidInputError
from artifacts.seal import Seal
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore


def open_database(settings: Settings) -> Database:
    """The index."""
    patience = Patience(
        connections=settings.database_connections,
        connection_seconds=settings.database_connection_seconds,
        statement_seconds=settings.database_statement_seconds,
        lock_seconds=settings.database_lock_seconds,
        idle_seconds=settings.database_idle_seconds,
    )
    return connect(settings.index_url, patience)


def open_seal(settings: Settings) -> Seal:
    """The seal of the processes that write what nobody signs; made on first use in the data folder.

    Raises:
        InvalidInputError: there is none where `CUSTODY_SEAL_KEY_FILE` says. One made there would be
            another than the other processes have, and what it sealed would not count.
    """
    if settings.seal_key_file is None:
        return Seal.open_or_create(settings.seal_key)
    try:
        return Seal.open(settings.seal_key_file)
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"there is no seal key at {settings.seal_key_file}",
            hint="mount the one that every api and worker has; openssl rand -hex 32 makes the first",
        ) from error


def open_store(settings: Settings) -> ObjectStore:
    """The object store that the scheme of `CUSTODY_STORE_URL` chooses.

    Raises:
        InvalidInputError: nothing installed knows that scheme.
    """
    scheme = urlsplit(settings.store).scheme
    opener = _STORES.get(scheme) or _installed(scheme)
    return opener(settings)


def _open_directory(settings: Settings) -> ObjectStore:
    return DirectoryStore(Path(unquote(urlsplit(settings.store).path)))


def _open_s3(settings: Settings) -> ObjectStore:
    # boto3 takes longer to load than everything else together, and a folder needs none of it.
    s3, multipart = import_module("artifacts.storage.s3"), import_module("artifacts.storage.s3_multipart")
    where, secret = urlsplit(settings.store), settings.s3_secret_key
    access = s3.Access(
        where.netloc,
        endpoint=settings.s3_endpoint,
        public_endpoint=settings.s3_public_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=None if secret is None else secret.get_secret_value(),
    )
    encryption, key_id = _encryption(settings.s3_sse)
    guard = multipart.Guard(encryption, key_id, settings.s3_object_lock_mode, settings.s3_object_lock_days)
    kept: ObjectStore = import_module("artifacts.storage.s3_store").S3Store(
        s3.Bucket(access), prefix=where.path, guard=guard
    )
    return kept


def _encryption(text: str | None) -> tuple[str | None, str | None]:
    if text is None or not text.startswith("aws:kms:"):
        return text, None
    return "aws:kms", text.removeprefix("aws:kms:")


def _installed(scheme: str) -> Callable[[Settings], ObjectStore]:
    for entry in entry_points(group="custody.stores", name=scheme):
        opener: Callable[[Settings], ObjectStore] = entry.load()
        return opener
    raise InvalidInputError(f"no store is known for {scheme}://", hint="use file:// or s3://")


_STORES: Final[Mapping[str, Callable[[Settings], ObjectStore]]] = MappingProxyType(
    {"file": _open_directory, "s3": _open_s3}
)


def build(settings: Settings, *, watched: Callable[[ObjectStore], ObjectStore] | None = None) -> Parts:
    """The parts of an api process; `watched` may put something between them and the store."""
    store = open_store(settings)
    return assemble(
        public_url=settings.url,
        hosts=settings.hosts,
        database=open_database(settings),
        store=store if watched is None else watched(store),
        clock=SystemClock(),
        seal=open_seal(settings),
        grace_seconds=settings.grace_hours * 3600,
        fences=Fences(
            bytes=Allowed(settings.quota_bytes, settings.project_quotas),
            rate=settings.rate,
            burst=settings.rate_burst,
        ),
    )
