"""Bytes from the service to a file, which exists only once they were verified."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from custody.errors import ContentError, MisuseError, UnreachableError
from custody.service import Service

_CHUNK = 256 * 1024
_ATTEMPTS = 3


def fetch_to_file(service: Service, sha256: str, target: Path, *, replace: bool = False) -> int:
    """Write the bytes with digest `sha256` to `target` and return their size.

    (1) The bytes go to a new file beside the target, (2) are hashed on the way, (3) are
    flushed to the disk, and (4) get their name in one step. Whatever goes wrong, the
    target has its old content or none.

    Raises:
        ContentError: The target exists, or the service sent other bytes.
        NothingFoundError: The service does not have them.
        UnreachableError: The download broke off again and again.
    """
    if not replace and os.path.lexists(target):
        raise ContentError(f"{target} exists", hint="choose another name, or replace it with --force")
    with _beside(target) as (temporary, stream):
        size = fetch(service, sha256, stream)
        os.fchmod(stream.fileno(), 0o666 & ~_umask())
        stream.flush()
        os.fsync(stream.fileno())
        _name(temporary, target, replace=replace)
    return size


def fetch(service: Service, sha256: str, stream: BinaryIO) -> int:
    """Write the bytes with digest `sha256` to the seekable `stream` and return their size.

    Raises:
        ContentError: The service sent other bytes; what `stream` holds is worthless.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        stream.seek(0)
        stream.truncate()
        try:
            found = _receive(service, sha256, stream)
        except (OSError, HTTPException) as error:
            if attempt == _ATTEMPTS:
                raise UnreachableError("the download broke off") from error
            continue
        if found != sha256:
            raise ContentError(
                f"the service sent sha256:{found} for sha256:{sha256}",
                hint="nothing was kept; tell the operator of the service",
            )
        return stream.tell()
    raise AssertionError("every attempt returns or raises")


def _receive(service: Service, sha256: str, stream: BinaryIO) -> str:
    hasher = hashlib.sha256()
    with service.blob(f"sha256:{sha256}") as response:
        while chunk := response.read(_CHUNK):
            hasher.update(chunk)
            _write(stream, chunk)
        if response.length:
            raise HTTPException("the answer ended early")
    return hasher.hexdigest()


def _write(stream: BinaryIO, chunk: bytes) -> None:
    try:
        stream.write(chunk)
    except OSError as error:
        # Not the network's fault: trying again would not help.
        raise ContentError(f"cannot be written: {error.strerror}") from error


@contextmanager
def _beside(target: Path) -> Iterator[tuple[str, BinaryIO]]:
    """Yield a new file (O_EXCL, 0600) in the directory of `target`; it is gone afterwards."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".custody-", dir=target.parent)
    except OSError as error:
        raise MisuseError(f"{target.parent}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield name, stream
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108 - text from mkstemp


def _name(temporary: str, target: Path, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, target)  # noqa: PTH105 - text from mkstemp
        return
    try:
        # A link fails where a rename would overwrite what appeared meanwhile.
        os.link(temporary, target, follow_symlinks=False)
    except FileExistsError as error:
        raise ContentError(
            f"{target} exists", hint="choose another name, or replace it with --force"
        ) from error
    except OSError:
        os.rename(temporary, target)  # noqa: PTH104 - this file system has no links; lexists was asked before


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
