"""What a bucket does besides: conditions, checksums, URLs, clocks, locks, strangers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from artifacts.errors import CustodyError, NotFoundError
from artifacts.storage.checkup import Check, Trial, Verdict, judged
from artifacts.storage.s3 import Bucket
from artifacts.storage.s3_store import S3Store

_CONTENT: Final = b"what a check wrote"
_SKEW_NOTED, _SKEW_BAD = 30.0, 300.0
_RESTS = "nothing rests on it"


class BucketCheckup:
    """The checks of one bucket."""

    def __init__(self, on: Trial, store: S3Store) -> None:
        self._on = on
        self._store = store
        self._bucket: Bucket = store.bucket

    def checks(self) -> list[Check]:
        """All of them, in order."""
        return [
            ("clock", self._clock),
            ("strangers", self._strangers),
            ("conditional write", self._conditional),
            ("md5 checksum", self._md5),
            ("sha256 checksum", self._sha256),
            ("copy bound to an ETag", self._bound_copy),
            ("URL to write", self._url_to_write),
            ("URL to read", self._url_to_read),
            ("object lock", self._lock),
        ]

    def _name(self, number: int) -> str:
        return self._store.name_of(self._on.key(number))

    async def _write(self, number: int, **members: Any) -> None:  # Any: as boto3 takes
        await self._bucket.call("put_object", Key=self._name(number), Body=_CONTENT, **members)

    async def _refused(self, call: Callable[[], Awaitable[object]]) -> bool:
        try:
            await call()
        except CustodyError:
            return True
        return False

    async def _clock(self) -> tuple[Verdict, str]:
        answer = await self._bucket.call("list_objects_v2", MaxKeys=1, Prefix=self._name(20))
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date is None:
            return Verdict.NOTE, "the store tells no time"
        skew = abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
        said = f"the clocks differ by {skew:.0f} s"
        if skew > _SKEW_BAD:
            return Verdict.BAD, f"{said}; URLs and signatures will fail"
        return (Verdict.NOTE if skew > _SKEW_NOTED else Verdict.GOOD), said

    async def _strangers(self) -> tuple[Verdict, str]:
        await self._write(21)
        plain = self._bucket.plain_url(self._name(21))
        read, _ = await self._bucket.follow("GET", plain)
        written, _ = await self._bucket.follow("PUT", plain, b"by a stranger")
        if read < 300 or written < 300:
            able = " and ".join(what for what, code in (("read", read), ("write", written)) if code < 300)
            return Verdict.BAD, f"anybody can {able} without a signature"
        return Verdict.GOOD, "without a signature nothing is read or written"

    async def _conditional(self) -> tuple[Verdict, str]:
        await self._write(22)
        if await self._refused(lambda: self._write(22, IfNoneMatch="*")):
            return Verdict.GOOD, "If-None-Match is honoured"
        return Verdict.NOTE, f"If-None-Match is ignored; {_RESTS}"

    async def _md5(self) -> tuple[Verdict, str]:
        wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
        if await self._refused(lambda: self._write(23, ContentMD5=wrong)):
            return Verdict.GOOD, "a wrong Content-MD5 is refused"
        return Verdict.NOTE, f"a wrong Content-MD5 is accepted; {_RESTS}"

    async def _sha256(self) -> tuple[Verdict, str]:
        wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
        if await self._refused(lambda: self._write(24, ChecksumSHA256=wrong)):
            return Verdict.GOOD, "a wrong x-amz-checksum-sha256 is refused"
        return Verdict.NOTE, f"a wrong x-amz-checksum-sha256 is accepted; {_RESTS}"

    async def _bound_copy(self) -> tuple[Verdict, str]:
        await self._write(25)
        members: dict[str, Any] = {  # Any: as boto3 takes
            "Key": self._name(26),
            "CopySource": {"Bucket": self._bucket.name, "Key": self._name(25)},
            "CopySourceIfMatch": f'"{"0" * 32}"',
        }
        if await self._refused(lambda: self._bucket.call("copy_object", **members)):
            return Verdict.GOOD, "a copy is made of the named ETag or not at all"
        return Verdict.NOTE, f"the ETag of a copy's source is ignored; {_RESTS}"

    async def _url_to_write(self) -> tuple[Verdict, str]:
        key = self._on.key(27)
        url = self._store.presign_put(key, size=len(_CONTENT), seconds=60)
        short = self._store.presign_put(self._on.key(28), size=len(_CONTENT), seconds=1)
        if url is None or short is None:
            return Verdict.NOTE, "no public endpoint is set, so clients send everything through the api"
        taken, _ = await self._bucket.follow("PUT", url, _CONTENT)
        if taken >= 300 or await self._store.read(key) != _CONTENT:
            return Verdict.BAD, f"a URL to write does not work (status {taken})"
        longer, _ = await self._bucket.follow("PUT", url, _CONTENT * 2)
        await asyncio.sleep(2.5)
        late, _ = await self._bucket.follow("PUT", short, _CONTENT)
        if late < 300:
            return Verdict.BAD, "a URL works after it has expired"
        if longer < 300:
            return Verdict.NOTE, f"a URL takes another length than was signed; {_RESTS}"
        return Verdict.GOOD, "a URL takes the signed length, in its time"

    async def _url_to_read(self) -> tuple[Verdict, str]:
        await self._write(29)
        url = self._store.presign_get(self._on.key(29), seconds=60)
        if url is None:
            return Verdict.NOTE, "no public endpoint is set, so clients read everything through the api"
        status, content = await self._bucket.follow("GET", url)
        right = status == 200 and content == _CONTENT
        return judged(right, "a URL gives the object", f"a URL to read does not work (status {status})")

    async def _lock(self) -> tuple[Verdict, str]:
        wanted = self._store.locks
        try:
            answer = await self._bucket.call("get_object_lock_configuration")
        except (NotFoundError, CustodyError):
            enabled = False
        else:
            told = answer.get("ObjectLockConfiguration", {})
            enabled = told.get("ObjectLockEnabled") == "Enabled"
        if wanted and not enabled:
            return (
                Verdict.BAD,
                "CUSTODY_S3_OBJECT_LOCK_DAYS is set, and the bucket was made without object lock",
            )
        if not wanted:
            return Verdict.NOTE, "published objects are not locked (CUSTODY_S3_OBJECT_LOCK_DAYS)"
        return Verdict.GOOD, "published objects can be locked"
