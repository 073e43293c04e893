"""Holding the data folder, so that no two commands work on it that must not."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from api.settings import Settings


@contextlib.contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the data folder: two services over one folder would not lose data, but surprise.

    Raises:
        OSError: somebody else holds it.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"{settings.data} is being served already") from error
        yield
