"""Files as content to send: hashed without following links, opened again for each attempt."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

from custody.bodies import Content
from custody.capture.hashing import Hashed, Progress, hash_file, open_regular
from custody.capture.identity import Identity, identity_of
from custody.errors import ContentError


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file and the digest of what was read from it."""

    path: str
    sha256: str
    size: int
    identity: Identity

    @property
    def digest(self) -> str:
        """The digest in its written form."""
        return f"sha256:{self.sha256}"

    def content(self) -> Content:
        """Return the file as a body; another file put in its place is refused."""
        return Content(self.size, self._open)

    def changed(self) -> bool:
        """Whether the file is no longer as it was when it was hashed, as far as its times can tell."""
        try:
            return identity_of(os.lstat(self.path)) != self.identity
        except OSError:
            return True

    def _open(self) -> BinaryIO:
        try:
            stream = os.fdopen(open_regular(self.path, expected=self.identity), "rb", buffering=0)
        except OSError as error:
            raise ContentError(f"{self.path}: {error.strerror}") from error
        if identity_of(os.fstat(stream.fileno())) != self.identity:
            stream.close()
            raise ContentError(f"{self.path}: changed after it was hashed")
        return stream


def hashed(path: str | os.PathLike[str], *, progress: Progress | None = None) -> HashedFile:
    """Hash the regular file `path`.

    Raises:
        ContentError: It is missing, unreadable, no regular file, or changes while it is read.
    """
    name = os.fspath(path)
    try:
        found: Hashed = hash_file(name, progress=progress)
    except FileNotFoundError as error:
        raise ContentError(f"{name}: no such file") from error
    except OSError as error:
        raise ContentError(f"{name}: {error.strerror}") from error
    if not found.stable:
        raise ContentError(f"{name}: changes while it is read", hint="wait until whatever writes it is done")
    return HashedFile(name, found.raw.hex(), found.size, found.identity)
