"""How often a token may ask: a bucket for each, in the memory of this process alone.

Several api processes each allow the whole rate: this keeps one caller from starving the
others, it does not count for a bill. Steps draw from the token that began them, because
anybody could otherwise begin another one and go on.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from math import ceil
from typing import Final

from artifacts.clock import Clock
from artifacts.errors import RateLimitedError

MAX_BUCKETS: Final = 10_000
"""Tokens remembered; the one that asked least recently is forgotten first, and begins anew."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """A bucket holds `burst` requests and is refilled with `rate` a second; None lets everybody through."""

    def __init__(self, clock: Clock, *, rate: float | None = None, burst: int = 100) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, principal: str) -> None:
        """Count one request.

        Raises:
            RateLimitedError: the bucket is empty; `retry_after` says for how many seconds.
        """
        if self._rate is None:
            return
        now = self._clock.now().timestamp()
        bucket = self._buckets.get(principal)
        if bucket is None:
            bucket = self._buckets[principal] = _Bucket(self._burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(principal)
        # A clock that was set back refills nothing, and does not stop the refilling either.
        bucket.left = min(self._burst, bucket.left + max(0.0, now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.left < 1:
            raise RateLimitedError(
                "this token asks more often than it may",
                hint="ask again after Retry-After, or for more at a time",
                retry_after=ceil((1 - bucket.left) / self._rate),
            )
        bucket.left -= 1
