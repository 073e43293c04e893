"""Writing one object in parts, and what every written object is protected with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from artifacts.errors import NotFoundError, UnavailableError
from artifacts.storage.s3 import Bucket
from artifacts.storage.s3_errors import ChangedError

_ABREAST: Final = 3

Members = dict[str, Any]  # Any: as boto3 takes


@dataclass(frozen=True, slots=True)
class Guard:
    """Server-side encryption, and how long what is published cannot be deleted by anybody."""

    encryption: str | None = None
    key_id: str | None = None
    lock_mode: str = "GOVERNANCE"
    lock_days: int = 0

    def always(self) -> Members:
        """What every object is written with."""
        members: Members = {}
        if self.encryption:
            members["ServerSideEncryption"] = self.encryption
        if self.key_id:
            members["SSEKMSKeyId"] = self.key_id
        return members

    def published(self, now: datetime) -> Members:
        """What objects outside `staging/` are written with."""
        members = self.always()
        if self.lock_days:
            members["ObjectLockMode"] = self.lock_mode
            members["ObjectLockRetainUntilDate"] = now + timedelta(days=self.lock_days)
        return members


class Multipart:
    """One multipart upload. Three parts travel at a time; `finish` or `abandon` ends it."""

    def __init__(self, bucket: Bucket, name: str, upload: str) -> None:
        self._bucket = bucket
        self._target: Members = {"Key": name, "UploadId": upload}
        self._under_way: deque[asyncio.Task[Members]] = deque()
        self._done: list[Members] = []
        self._next = 1

    @classmethod
    async def begin(cls, bucket: Bucket, name: str, guard: Members) -> Multipart:
        """Begin to write `name`."""
        answer = await bucket.call("create_multipart_upload", needs=("UploadId",), Key=name, **guard)
        return cls(bucket, name, str(answer["UploadId"]))

    async def add(self, content: bytes) -> None:
        """Send the next part; returns before it has arrived."""
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        await self._add("upload_part", Body=content, ContentMD5=base64.b64encode(md5).decode())

    async def add_copy(self, **source: Any) -> None:
        """Let the server copy the next part from another object."""
        await self._add("upload_part_copy", **source)

    async def _add(self, operation: str, **members: Any) -> None:
        if len(self._under_way) == _ABREAST:
            self._done.append(await self._under_way.popleft())
        number, self._next = self._next, self._next + 1
        self._under_way.append(asyncio.create_task(self._send(operation, number, members)))

    async def _send(self, operation: str, number: int, members: Members) -> Members:
        copies = operation == "upload_part_copy"
        answer = await self._bucket.call(
            operation,
            # A condition can fail only where one was sent.
            expecting=(ChangedError,) if "CopySourceIfMatch" in members else (),
            needs=("CopyPartResult",) if copies else ("ETag",),
            PartNumber=number,
            **self._target,
            **members,
        )
        etag = answer["CopyPartResult"]["ETag"] if copies else answer["ETag"]
        return {"PartNumber": number, "ETag": etag}

    async def finish(self) -> None:
        """Make the object of its parts."""
        while self._under_way:
            self._done.append(await self._under_way.popleft())
        try:
            await self._bucket.call(
                "complete_multipart_upload", MultipartUpload={"Parts": self._done}, **self._target
            )
        except NotFoundError:
            # An answer may have been lost and the repetition found the upload ended. Whoever asked
            # for the object now looks at it: its length and its bytes decide, not this answer.
            return

    async def abandon(self) -> None:
        """End the upload and leave nothing; what cannot be ended now is ended by upkeep."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()
        try:
            await self._bucket.call("abort_multipart_upload", once=True, **self._target)
        except (NotFoundError, UnavailableError):
            return


async def copy_together(bucket: Bucket, name: str, sources: Iterable[Members], guard: Members) -> None:
    """Write `name` on the server from `sources`, in order; each says what a part is copied from."""
    writing = await Multipart.begin(bucket, name, guard)
    try:
        for source in sources:
            await writing.add_copy(**source)
        await writing.finish()
    except BaseException:
        await writing.abandon()
        raise
