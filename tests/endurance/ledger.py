"""What was promised in a soak, and what was given up: kept for many threads at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.service import sha256

_LATEST: Final = 12
"""What was given up lately: a collection may be at it at this moment."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that can be made again from two numbers, so that many of them fit in memory."""

    number: int
    size: int
    hex: str

    @classmethod
    def made(cls, number: int, size: int) -> Content:
        """The content of that number."""
        return cls(number, size, sha256(_bytes(number, size)))

    @property
    def digest(self) -> str:
        """As paths and bodies write it."""
        return f"sha256:{self.hex}"

    @property
    def bytes(self) -> bytes:
        """All of it."""
        return _bytes(self.number, self.size)


def _bytes(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)


@dataclass
class Ledger:
    """Contents that must stay, and contents that may go.

    A content is *sent*, then *given up* once it is older than the grace period; from then on
    it is there or not. Who is told meanwhile that it is there has it *promised* again.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _promised: dict[str, Content] = field(default_factory=dict)
    _order: list[Content] = field(default_factory=list)
    _fresh: list[Content] = field(default_factory=list)
    _sent: list[Content] = field(default_factory=list)
    _given_up: dict[str, Content] = field(default_factory=dict)
    revived: int = 0
    """How many were given up, and promised again."""

    def promise(self, *contents: Content) -> None:
        """These were acknowledged, or told to be here: they must stay."""
        with self._lock:
            for content in contents:
                self.revived += self._given_up.pop(content.hex, None) is not None
                if content.hex not in self._promised:
                    self._promised[content.hex] = content
                    self._order.append(content)
                self._fresh.append(content)

    def is_promised(self, content: Content) -> bool:
        """Whether it must be here."""
        with self._lock:
            return content.hex in self._promised

    def some(self, chance: random.Random, count: int) -> list[Content]:
        """Some that must be here; one may come twice."""
        with self._lock:
            return chance.choices(self._order, k=count)

    def all(self) -> list[Content]:
        """All that must be here."""
        with self._lock:
            return list(self._order)

    def at_risk(self) -> list[Content]:
        """What was promised since this was asked the last time."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        return fresh

    def send(self, content: Content) -> None:
        """It was sent, and may go once it is old."""
        with self._lock:
            self._sent.append(content)

    def sent(self) -> list[Content]:
        """What was sent, and is not given up."""
        with self._lock:
            return list(self._sent)

    def give_up(self, hexes: Iterable[str]) -> None:
        """These are old now: they may be removed at any moment."""
        old = set(hexes)
        with self._lock:
            self._given_up |= {one.hex: one for one in self._sent if one.hex in old}
            self._sent = [one for one in self._sent if one.hex not in old]

    def given_up(self, chance: random.Random, count: int) -> list[Content]:
        """At most so many of those that were given up lately."""
        with self._lock:
            latest = list(self._given_up.values())[-_LATEST:]
        return chance.sample(latest, min(count, len(latest)))

    def all_given_up(self) -> list[Content]:
        """All that nobody was told of again."""
        with self._lock:
            return list(self._given_up.values())
