"""What tests of scrubbing share: objects in a folder to be spoilt, and a scrub of one service."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from artifacts.layout import Key
from artifacts.scrubbing.report import Report
from artifacts.scrubbing.scrubber import Scope, Scrubber, Stores
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore
from provenance.scrubbing import control_check
from tests.reindex.corpus import objects
from tests.service import Service


def lying(service: Service, below: str) -> list[Path]:
    """The objects below a folder of the bucket."""
    return sorted(path for path in (objects(service) / below).rglob("*") if path.is_file())


def the(service: Service, below: str) -> Path:
    """The first of them."""
    return lying(service, below)[0]


def spoil(path: Path) -> bytes:
    """Change one bit in the middle; return what lay there."""
    kept = path.read_bytes()
    changed = bytearray(kept)
    changed[len(kept) // 2] ^= 1
    rewrite(path, bytes(changed))
    return kept


def rewrite(path: Path, content: bytes) -> None:
    """Let `content` lie there."""
    path.chmod(0o600)
    path.write_bytes(content)


def name(service: Service, path: Path) -> str:
    """The key of an object."""
    return str(Key(str(path.relative_to(objects(service)))))


def copied(service: Service) -> ObjectStore:
    """A second store that holds all that the service has now."""
    folder = service.folder / "second"
    shutil.copytree(objects(service), folder, dirs_exist_ok=True)
    return DirectoryStore(folder)


async def scrub(
    service: Service, *, second: ObjectStore | None = None, scope: Scope | None = None, **options: Any
) -> Report:
    """Look at everything once."""
    stores = Stores(options.pop("store", service.store), second)
    control = await control_check(*stores.all)
    scrubber = Scrubber(service.database, stores, service.clock, control, **options)
    return await scrubber.run(scope or Scope())


def keys(report: Report) -> set[str]:
    """The objects that were found damaged."""
    return {damage.key for damage in report.damages}
