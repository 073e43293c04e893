"""Seals: proof that an object which nobody signs was written by this service.

Bundles are signed. Journal files, and records until they are signed, are not; yet a rebuilt
index has to believe some of them: a token's hash, a run, a step that finished a moment ago.
So their names end in a seal, an HMAC of the name before it. The name has the project, the
kind and the sha256 of the content, so the seal holds for all of these. Whoever can write to
the bucket and has no seal key can plant nothing that `reindex` believes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifacts.errors import CorruptedError, ForbiddenError
from artifacts.layout import Key
from artifacts.storage.durable import sync

_CONTEXT: Final = b"custody-seal/v1\n"
_SUFFIX: Final = ".ndjson"
_MARK: Final = "-"
_HEX: Final = 64
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Seal:
    """Puts seals on names, and says which names have one."""

    _key: bytes = field(repr=False)

    def put_on(self, key: Key) -> Key:
        """`key` with its seal."""
        return Key(f"{self._sealed(str(key).removesuffix(_SUFFIX))}{_SUFFIX}")

    def is_on(self, key: Key) -> bool:
        """Whether `key` was made by `put_on` with this very seal key."""
        stem, _, _ = str(key).removesuffix(_SUFFIX).rpartition(_MARK)
        return hmac.compare_digest(f"{self._sealed(stem)}{_SUFFIX}", str(key))

    def _sealed(self, stem: str) -> str:
        return f"{stem}{_MARK}{hmac.digest(self._key, _CONTEXT + stem.encode(), hashlib.sha256).hex()}"

    @classmethod
    def open(cls, path: Path) -> Seal:
        """The seal whose key is at `path`, a line of 64 hex digits.

        Raises:
            FileNotFoundError: there is none.
            ForbiddenError: others could read it.
            CorruptedError: it is no seal key.
        """
        with path.open() as stream:
            if os.fstat(stream.fileno()).st_mode & _OTHERS:
                hint = f"chmod go-rwx {path}"
                raise ForbiddenError("the seal key is open to other users", hint=hint, path=str(path))
            text = stream.read(_HEX + 2).strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) * 2 != _HEX:
            raise CorruptedError("the seal key cannot be read", path=str(path))
        return cls(key)

    @classmethod
    def open_or_create(cls, path: Path) -> Seal:
        """As `open`, and where there is none a new one is made: safe to race, safe to crash."""
        try:
            return cls.open(path)
        except FileNotFoundError:
            create(path)
            return cls.open(path)


def create(path: Path) -> None:
    """Write a new key beside `path`, then give it its name unless another process was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(_HEX // 2) + "\n")
            stream.flush()
            sync(descriptor)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)
