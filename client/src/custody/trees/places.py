"""A private directory beside a target, that becomes the target in one step or leaves nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from custody.errors import ContentError, MisuseError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def private_place(target: str, *, replace: bool = False) -> Iterator[int]:
    """Yield a descriptor of a new directory that is renamed to `target` afterwards.

    Raises:
        ContentError: `target` exists and is not an empty directory, and `replace` is false.
        MisuseError: There can be no directory there.
    """
    path = os.path.abspath(target)
    parent, name = os.path.split(path)
    if not name or path == os.getcwd():
        raise MisuseError(f"{target} cannot become another directory", hint="name a new directory")
    _require_free(path, replace=replace)
    own = os.path.join(parent, f".{name[:200]}.custody-{os.urandom(6).hex()}")
    try:
        os.mkdir(own, 0o700)
    except OSError as error:
        raise MisuseError(f"{parent}: {error.strerror}") from error
    try:
        descriptor = os.open(own, _OPEN)
        try:
            yield descriptor
            os.fchmod(descriptor, 0o777 & ~_umask())
        finally:
            os.close(descriptor)
        _rename(own, path, replace=replace)
    except BaseException:
        _remove(own)
        raise


def _require_free(path: str, *, replace: bool) -> None:
    if not replace and os.path.lexists(path) and not _empty_directory(path):
        raise ContentError(f"{path} exists", hint="choose another name, or replace it with --force")


def _empty_directory(path: str) -> bool:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return False
    with os.scandir(path) as entries:
        return next(entries, None) is None


def _rename(own: str, path: str, *, replace: bool) -> None:
    """Give the finished directory its name; an empty one in its place is replaced."""
    if not replace or not os.path.lexists(path):
        try:
            os.rename(own, path)
        except OSError as error:
            raise ContentError(f"{path}: {error.strerror}", hint="it appeared meanwhile") from error
        return
    aside = f"{own}-old"
    try:
        os.rename(path, aside)
        os.rename(own, path)
    except BaseException:  # an interrupt comes between the two as well
        if not os.path.lexists(path):
            os.rename(aside, path)
        raise
    finally:
        if not os.path.lexists(own):  # it is in place, and the old one is in nobody's way
            _discard(aside)


def _discard(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        _remove(path)
    else:
        os.unlink(path)


def _remove(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
