"""What the fake keeps: objects and unfinished uploads, under one lock."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

_KEPT: Final = re.compile(r"content-type|x-amz-meta-.*|x-amz-server-side-.*|x-amz-object-lock-.*")


@dataclass(frozen=True, slots=True)
class Stored:
    """One object."""

    content: bytes
    etag: str
    changed_at: datetime
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Upload:
    """A multipart upload under way."""

    key: str
    began_at: datetime
    headers: dict[str, str]
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


@dataclass
class Shelf:
    """The content of one bucket."""

    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    counter: int = 0

    def new_upload(self, key: str, at: datetime, headers: dict[str, str]) -> str:
        self.counter += 1
        name = f"upload-{self.counter:06d}"
        self.uploads[name] = Upload(key, at, headers)
        return name


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """What an object keeps of the headers it is written with."""
    return {name: value for name, value in headers.items() if _KEPT.fullmatch(name)}
