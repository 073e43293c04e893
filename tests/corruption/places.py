"""Services to be damaged: over a folder, and over the fake S3 server."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from artifacts.storage.directory import DirectoryStore
from tests.corruption.damage import Folder, OnShelf
from tests.corruption.trial import Trial
from tests.fakes.s3.server import a_fake_s3
from tests.s3 import store_over
from tests.service import a_service


@asynccontextmanager
async def in_a_folder(folder: Path, *, blobs: int) -> AsyncIterator[Trial]:
    """Objects in a directory, copies in another one."""
    copies = folder / "second"
    copies.mkdir()
    second = DirectoryStore(copies, only_read=True)
    async with a_service(folder) as service:
        objects = folder / "data" / "objects"

        def copy() -> None:
            shutil.copytree(objects, copies, dirs_exist_ok=True)

        yield Trial(service, Folder(objects), second, copy, blobs)
    second.close()


@asynccontextmanager
async def in_a_bucket(folder: Path, *, blobs: int) -> AsyncIterator[Trial]:
    """Objects in a bucket of the fake server, copies below another prefix."""
    with a_fake_s3() as fake:
        store, second = store_over(fake, prefix="first"), store_over(fake, prefix="second")

        def copy() -> None:
            with fake.shelf.lock:
                kept = {name: one for name, one in fake.shelf.objects.items() if name.startswith("first/")}
                fake.shelf.objects |= {
                    name.replace("first/", "second/", 1): one for name, one in kept.items()
                }

        async with a_service(folder, kept_in=store) as service:
            yield Trial(service, OnShelf(fake.shelf, "first"), second, copy, blobs)
        store.close()
        second.close()
