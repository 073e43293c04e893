"""Copying one object on the server, bound to the ETag of what was hashed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from artifacts.storage.s3 import Bucket
from artifacts.storage.s3_errors import ChangedError
from artifacts.storage.s3_multipart import Members, copy_together


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied where: `size` bytes of the object `source` that has the ETag `mark`."""

    source: str
    mark: str
    size: int
    target: str
    guard: Members

    def bound(self, bucket: Bucket) -> Members:
        """The members that name the source, and that very content of it."""
        return {
            "CopySource": {"Bucket": bucket.name, "Key": self.source},
            "CopySourceIfMatch": self.mark,
        }

    def ranges(self, length: int) -> Iterator[dict[str, Any]]:  # Any: as boto3 takes
        """Its bytes in pieces of `length`."""
        for start, end in pairwise([*range(0, self.size, length), self.size]):
            yield {"CopySourceRange": f"bytes={start}-{end - 1}"}


async def copied(bucket: Bucket, copy: Copy, *, part: int) -> None:
    """Make `copy`, in ranges of `part` bytes where it is larger; what lay at its target is replaced.

    Raises:
        ChangedError: the source has another ETag, and the server noticed.
        NotFoundError: the source is not there.
    """
    bound = copy.bound(bucket)
    if copy.size <= part:
        expecting = (ChangedError,)
        await bucket.call("copy_object", expecting=expecting, Key=copy.target, **bound, **copy.guard)
    else:
        sources = ({**bound, **piece} for piece in copy.ranges(part))
        await copy_together(bucket, copy.target, sources, copy.guard)
    await _lock_again(bucket, copy)


async def _lock_again(bucket: Bucket, copy: Copy) -> None:
    """Lock what was copied: Ceph takes the lock that a copy is asked for with, and forgets it."""
    mode = copy.guard.get("ObjectLockMode")
    if mode is not None:
        kept = {"Mode": mode, "RetainUntilDate": copy.guard["ObjectLockRetainUntilDate"]}
        await bucket.call("put_object_retention", Key=copy.target, Retention=kept)
