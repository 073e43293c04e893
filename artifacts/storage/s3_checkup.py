"""What a bucket does besides: conditions, checksums, URLs, clocks, locks, strangers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Container
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from artifacts.errors import CustodyError
from artifacts.storage.checkup import REACHED, Check, Trial, Verdict, judged
from artifacts.storage.s3 import Answer, Bucket
from artifacts.storage.s3_errors import ChangedError, UnsupportedError
from artifacts.storage.s3_store import S3Store

_CONTENT: Final = b"what a check wrote"
_SKEW_NOTED, _SKEW_BAD = 30.0, 300.0
_RESTS: Final = "nothing rests on it"
_CHANGED: Final = "PreconditionFailed"
_SUMS: Final = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"}
_NO_LOCK: Final = "CUSTODY_S3_OBJECT_LOCK_DAYS is set, and the bucket does not say that it locks objects"


class BucketCheckup:
    """The checks of one bucket."""

    def __init__(self, on: Trial, store: S3Store) -> None:
        self._on = on
        self._store = store
        self._bucket: Bucket = store.bucket

    def checks(self) -> list[Check]:
        """All of them, in order."""
        return [
            (REACHED, self._reached),
            ("clock", self._clock),
            ("strangers", self._strangers),
            ("conditional write", self._conditional),
            ("md5 checksum", self._md5),
            ("sha256 checksum", self._sha256),
            ("copy bound to an ETag", self._bound_copy),
            ("URL to write", self._url_to_write),
            ("URL to read", self._url_to_read),
            ("encryption", self._encryption),
            ("object lock", self._lock),
        ]

    def _name(self, number: int) -> str:
        return self._store.name_of(self._on.key(number))

    async def _write(self, number: int, **members: Any) -> None:  # Any: as boto3 takes
        await self._call("put_object", Key=self._name(number), Body=_CONTENT, **members)

    async def _call(self, operation: str, **members: Any) -> Answer:  # Any: as boto3 takes
        return await self._bucket.call(operation, expecting=(ChangedError, UnsupportedError), **members)

    async def _reached(self) -> tuple[Verdict, str]:
        await self._bucket.call("list_objects_v2", MaxKeys=1, Prefix=self._name(20))
        return Verdict.GOOD, "the bucket is there and answers"

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
        came = await _answer(self._write(22, IfNoneMatch="*"))
        return _guards("a write with If-None-Match over an object that is there", came, {_CHANGED})

    async def _md5(self) -> tuple[Verdict, str]:
        wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
        came = await _answer(self._write(23, ContentMD5=wrong))
        return _guards("a wrong Content-MD5", came, _SUMS)

    async def _sha256(self) -> tuple[Verdict, str]:
        right, wrong = (
            base64.b64encode(hashlib.sha256(content).digest()).decode() for content in (_CONTENT, b"other")
        )
        refused = await _answer(self._write(24, ChecksumSHA256=right))
        if refused is not None:
            return Verdict.NOTE, f"a right x-amz-checksum-sha256 is refused too ({refused}); {_RESTS}"
        came = await _answer(self._write(24, ChecksumSHA256=wrong))
        return _guards("a wrong x-amz-checksum-sha256", came, _SUMS)

    async def _bound_copy(self) -> tuple[Verdict, str]:
        await self._write(25)
        members: dict[str, Any] = {  # Any: as boto3 takes
            "Key": self._name(26),
            "CopySource": {"Bucket": self._bucket.name, "Key": self._name(25)},
            "CopySourceIfMatch": f'"{"0" * 32}"',
        }
        came = await _answer(self._call("copy_object", **members))
        return _guards("a copy bound to another ETag", came, {_CHANGED})

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

    async def _encryption(self) -> tuple[Verdict, str]:
        wanted = self._store.guard.always()
        await self._write(30, **wanted)
        found = await self._call("head_object", Key=self._name(30))
        said = found.get("ServerSideEncryption")
        if wanted and said != wanted["ServerSideEncryption"]:
            return Verdict.BAD, f"CUSTODY_S3_SSE is set, and the store says of an object: {said or 'nothing'}"
        if said is None:
            return Verdict.NOTE, "the store does not say that it encrypts (CUSTODY_S3_SSE)"
        return Verdict.GOOD, f"objects are encrypted by the store ({said})"

    async def _lock(self) -> tuple[Verdict, str]:
        if not self._store.guard.lock_days:
            return Verdict.NOTE, "published objects are not locked (CUSTODY_S3_OBJECT_LOCK_DAYS)"
        try:
            answer = await self._call("get_object_lock_configuration")
        except (CustodyError, UnsupportedError) as error:
            return Verdict.BAD, f"{_NO_LOCK} ({_code(error)})"
        enabled = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        return judged(enabled, "published objects can be locked", _NO_LOCK)


async def _answer(call: Awaitable[object]) -> str | None:
    """How the store refuses, in its own word; None where it does not."""
    try:
        await call
    except (ChangedError, UnsupportedError, CustodyError) as error:
        return _code(error)
    return None


def _code(error: Exception) -> str:
    if isinstance(error, CustodyError):
        return str(error.facts.get("code") or error.facts.get("reason") or error.message)
    return _CHANGED if isinstance(error, ChangedError) else "NotImplemented"


def _guards(what: str, came: str | None, reasons: Container[str]) -> tuple[Verdict, str]:
    """What the store made of something wrong: refused for it, refused for another reason, or accepted."""
    if came is None:
        return Verdict.NOTE, f"{what} is accepted; {_RESTS}"
    if came not in reasons:
        return Verdict.NOTE, f"{what} is refused for another reason ({came}); {_RESTS}"
    return Verdict.GOOD, f"{what} is refused ({came})"
