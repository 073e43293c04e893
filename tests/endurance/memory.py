"""How the memory of processes grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MIB: Final = 1 << 20


@dataclass
class Memory:
    """Resident bytes of several processes, looked at now and then."""

    seen: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def note(self, minute: float, resident: Mapping[str, int]) -> None:
        """What each had at that minute."""
        for name, size in resident.items():
            self.seen.setdefault(name, []).append((minute, size))

    def slope(self, name: str, *, since: float) -> float:
        """MiB a minute from minute `since` on, by least squares."""
        points = [(minute, size / MIB) for minute, size in self.seen[name] if minute >= since]
        if len(points) < 2:
            return 0.0
        middle = sum(minute for minute, _ in points) / len(points)
        level = sum(size for _, size in points) / len(points)
        spread = sum((minute - middle) ** 2 for minute, _ in points)
        return sum((minute - middle) * (size - level) for minute, size in points) / spread

    def span(self, name: str, *, since: float) -> tuple[float, float]:
        """MiB at minute `since`, and in the end."""
        sizes = [size / MIB for minute, size in self.seen[name] if minute >= since]
        return sizes[0], sizes[-1]
