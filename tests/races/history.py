"""Whether what a service told many at once could have been told to them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

Told = Hashable
Model = Callable[[Any, "Event"], Hashable]  # Any: a state, which only the model itself reads
"""From the state and one request with its answer to the state after it, or `IMPOSSIBLE`."""

IMPOSSIBLE: Final = object()
"""What a model says of an answer that cannot come in that state."""

UNSURE: Final = "unavailable"
"""Told to whom the service was not available: it may have been done, or not; nobody knows before asking again."""


@dataclass(frozen=True, slots=True)
class Event:
    """One request: what was asked, what was told, and between which two moments."""

    asked: tuple[Hashable, ...]
    told: Told
    called: int
    returned: int


def explained(history: Sequence[Event], model: Model, start: Hashable) -> bool:
    """Whether some order of the requests gives these answers, one after the other, from `start`.

    A request that was answered before another was made comes before it; requests that were
    under way together may take either order (Herlihy and Wing, "Linearizability", 1990). The
    search never enters the same state with the same requests left a second time.
    """
    left = frozenset(range(len(history)))
    seen: set[tuple[frozenset[int], Hashable]] = set()
    trail: list[tuple[frozenset[int], Hashable]] = [(left, start)]
    while trail:
        left, state = trail.pop()
        if not left:
            return True
        if (left, state) in seen:
            continue
        seen.add((left, state))
        soonest = min(history[number].returned for number in left)
        for number in left:
            if history[number].called < soonest:
                trail += [(left - {number}, after) for after in _states(state, history[number], model)]
    return False


def _states(state: Hashable, event: Event, model: Model) -> list[Hashable]:
    """Every state in which `event` may leave what is in `state`."""
    if event.told != UNSURE:
        after = model(state, event)
        return [] if after is IMPOSSIBLE else [after]
    # Not done; or done, and then it would have been told as new, or as what was asked for.
    done = [model(state, replace(event, told=told)) for told in (201, event.asked[-1])]
    return [state, *(after for after in done if after is not IMPOSSIBLE)]
