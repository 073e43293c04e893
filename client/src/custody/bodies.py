"""What is sent: bytes that can be opened again, because an attempt may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple


class Content(NamedTuple):
    """A body that can be opened again for another attempt."""

    size: int
    open: Callable[[], BinaryIO]
