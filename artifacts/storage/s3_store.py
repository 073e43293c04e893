"""A bucket of an S3-compatible service as object store.

Safety rests on nothing a server may get wrong: not on its checksums, not on conditional
writes. What is published was either never outside this process, or is a copy bound to
the ETag of the very object that was hashed, under a key that no client was given a URL for.
Conditions and MD5 sums are sent all the same; where a server honours them they help.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, NotFoundError, UnavailableError
from artifacts.identifiers import new_ulid
from artifacts.layout import Key
from artifacts.storage.protocol import Listed, Staged
from artifacts.storage.s3 import MIB, Answer, Bucket
from artifacts.storage.s3_bodies import SUM, regrouped, sums, within
from artifacts.storage.s3_copies import Copy, copied
from artifacts.storage.s3_errors import ChangedError, UnsupportedError
from artifacts.storage.s3_multipart import Guard, Multipart, copy_together
from artifacts.storage.s3_reading import NEEDED, Reading

_HELD: Final = MIB
"""Up to here a body stays in memory instead of being staged: one request instead of three."""
_PART: Final = 8 * MIB
_COPY_PART: Final = 256 * MIB
"""Larger objects are copied in ranges, so that no single copy outlasts a deadline."""
_COPIES: Final = 3
"""How often a copy is made that comes out too short."""
_URL_SECONDS: Final = 300
_SETTLE: Final = (0.0, 0.05, 0.2, 0.5)


class S3Store:
    """Keeps objects in `bucket` below `prefix`; implements `ObjectStore`."""

    def __init__(
        self, bucket: Bucket, *, prefix: str = "", guard: Guard | None = None, copy_part: int = _COPY_PART
    ) -> None:
        self._bucket = bucket
        self._copy_part = copy_part
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._guard = guard or Guard()
        self._new_only: dict[str, Any] = {"IfNoneMatch": "*"}  # Any: as boto3 takes

    @property
    def bucket(self) -> Bucket:
        """The bucket, for `doctor`."""
        return self._bucket

    @property
    def guard(self) -> Guard:
        """What objects are protected with, for `doctor`."""
        return self._guard

    def name_of(self, key: Key) -> str:
        """The name of `key` in the bucket."""
        return f"{self._prefix}{key}"

    def _guard_for(self, key: Key) -> dict[str, Any]:  # Any: as boto3 takes
        # What is to be removed again must not be locked.
        passing = str(key).startswith((f"{layout.STAGING}/", f"{layout.JOINED}/"))
        return self._guard.always() if passing else self._guard.published(datetime.now(UTC))

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """Hold what is short, write the rest to `staging/`; see `ObjectStore.stage`."""
        key = layout.staging(new_ulid(at))
        hasher, size = hashlib.sha256(), 0
        writing: Multipart | None = None
        try:
            async for piece, last in regrouped(content, _PART):
                size = within(limit, size + len(piece))
                await asyncio.to_thread(hasher.update, piece)
                digest = Digest("sha256", hasher.hexdigest())
                if last and writing is None:
                    return await self._stage_short(key, piece, digest)
                writing = writing or await Multipart.begin(
                    self._bucket, self.name_of(key), self._guard.always()
                )
                await writing.add(piece)
            if writing is None:
                return await self._stage_short(key, b"", Digest.of(b""))
            await writing.finish()
        except BaseException:
            if writing is not None:
                await writing.abandon()
            raise
        return Staged(key, digest, size, mark=str((await self._written(key, size))["ETag"]))

    async def _stage_short(self, key: Key, content: bytes, digest: Digest) -> Staged:
        if len(content) <= _HELD:
            return Staged(key, digest, len(content), held=content)
        answer = await self._bucket.call(
            "put_object", needs=("ETag",), Key=self.name_of(key), **sums(content), **self._guard.always()
        )
        return Staged(key, digest, len(content), mark=str(answer["ETag"]))

    async def _written(self, key: Key, size: int | None = None) -> Answer:
        """Look at an object until it is seen to be there, and whole.

        Raises:
            UnavailableError: the store says it wrote the object and does not show it.
            CorruptedError: it wrote another length.
        """
        found = await self._seen(key, size)
        if found is None:
            raise UnavailableError("the store does not show what it wrote", key=str(key))
        if size not in {None, found["ContentLength"]}:
            raise CorruptedError("the store kept another length than was written", key=str(key))
        return found

    async def _seen(self, key: Key, size: int | None = None) -> Answer | None:
        found = None
        for pause in _SETTLE:
            await asyncio.sleep(pause)
            found = await self._head(key)
            if found is not None and size in {None, found["ContentLength"]}:
                break
        return found

    async def promote(self, staged: Staged, key: Key) -> None:
        """Write what was held, or copy what was hashed, bound to its ETag; see `ObjectStore.promote`."""
        if await self.size(key) is None:
            if staged.held is not None:
                await self._put(key, staged.held)
            else:
                await self._copy(staged, key)
        await self.discard(staged)

    async def replace(self, staged: Staged, key: Key) -> None:
        """Write or copy over what is there: S3 shows the old object or the new one."""
        if staged.held is not None:
            await self._overwrite(key, staged.held)
        else:
            await self._copy(staged, key)
        await self.discard(staged)

    async def _copy(self, staged: Staged, key: Key) -> None:
        source, target = self.name_of(staged.key), self.name_of(key)
        copy = Copy(source, staged.mark, staged.size, target, self._guard_for(key))
        for _ in range(_COPIES):
            try:
                await copied(self._bucket, copy, part=self._copy_part)
            except ChangedError as error:
                raise CorruptedError("the upload was changed after it was hashed", key=str(key)) from error
            # A short copy is not deleted: by then another writer's good one can lie there.
            with contextlib.suppress(CorruptedError):
                await self._written(key, staged.size)
                return
        hint = "custody-server doctor says more about the store"
        raise UnavailableError("the store makes copies of other lengths", hint=hint, key=str(key))

    async def discard(self, staged: Staged) -> None:
        """Remove the staged object; what cannot be removed now is swept later."""
        if staged.held is None:
            with contextlib.suppress(UnavailableError):
                await self.delete(staged.key)

    async def put(self, key: Key, content: bytes) -> None:
        """Write unless it is there; see `ObjectStore.put`."""
        if await self.size(key) is None:
            await self._put(key, content)

    async def _put(self, key: Key, content: bytes) -> None:
        expecting = (ChangedError, UnsupportedError)
        members = {**sums(content), **self._guard_for(key), **self._new_only}
        try:
            await self._bucket.call("put_object", expecting=expecting, Key=self.name_of(key), **members)
        except UnsupportedError:
            self._new_only = {}  # this server does not know the condition, and nothing rests on it
            await self._overwrite(key, content)
        except ChangedError:
            # Another writer was first, or an answer was lost and the repetition met our own object.
            # Or the server takes the trace of a deleted object for one: it is asked without.
            if await self._seen(key) is None:
                await self._overwrite(key, content)
                await self._written(key, len(content))

    async def _overwrite(self, key: Key, content: bytes) -> None:
        guard = self._guard_for(key)
        await self._bucket.call("put_object", Key=self.name_of(key), **sums(content), **guard)

    def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read in pieces of 1 MiB, going on where a connection broke; see `ObjectStore.open`."""
        return Reading(self._bucket, self.name_of(key)).pieces(start, length)

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """Read in one piece; a whole object is held against the sum that was written beside it."""
        reading = Reading(self._bucket, self.name_of(key))
        content = await reading.whole(start, length)
        wanted = reading.metadata.get(SUM)
        if start == 0 and length is None and wanted not in {None, hashlib.sha256(content).hexdigest()}:
            again = await Reading(self._bucket, self.name_of(key)).whole(0, None)
            if hashlib.sha256(again).hexdigest() != wanted:
                raise CorruptedError("the stored object is damaged", key=str(key))
            return again
        return content

    async def size(self, key: Key) -> int | None:
        """The size; see `ObjectStore.size`."""
        found = await self._head(key)
        return None if found is None else int(found["ContentLength"])

    async def _head(self, key: Key) -> Answer | None:
        try:
            return await self._bucket.call("head_object", needs=NEEDED, Key=self.name_of(key))
        except NotFoundError:
            return None

    async def delete(self, key: Key) -> None:
        """Remove, without repetition: a late second DELETE could meet a newer object."""
        with contextlib.suppress(NotFoundError):
            await self._bucket.call("delete_object", once=True, Key=self.name_of(key))

    async def list(self, prefix: str) -> AsyncIterator[Listed]:
        """Page through the keys; see `ObjectStore.list`."""
        wanted = f"{self._prefix}{prefix}"
        async for found in self._bucket.pages(
            "list_objects_v2", "Contents", {"NextContinuationToken": "ContinuationToken"}, Prefix=wanted
        ):
            try:
                key = Key(str(found["Key"]).removeprefix(self._prefix))
            except InvalidInputError:  # somebody else's object: nothing of ours is called that
                continue
            yield Listed(key, int(found["Size"]), found["LastModified"].astimezone(UTC))

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """Join the parts on the server, then read and hash the result; see `ObjectStore.assemble`."""
        target = layout.joined(new_ulid(at))
        for pause in _SETTLE:
            await asyncio.sleep(pause)
            try:
                await self._join(parts, self.name_of(target))
            except NotFoundError as error:
                absent = error  # a part may be shown late, and its upload would be refused for ever
            else:
                return await self._hashed(target)
        raise absent

    async def _join(self, parts: Sequence[Key], name: str) -> None:
        guard = self._guard.always()
        sources = [{"Bucket": self._bucket.name, "Key": self.name_of(part)} for part in parts]
        if len(sources) == 1:
            await self._bucket.call("copy_object", Key=name, CopySource=sources[0], **guard)
        else:
            await copy_together(self._bucket, name, [{"CopySource": source} for source in sources], guard)

    async def _hashed(self, key: Key) -> Staged:
        mark = str((await self._written(key))["ETag"])
        hasher, size = hashlib.sha256(), 0
        reading = Reading(self._bucket, self.name_of(key))
        async for piece in reading.pieces(0, None):
            await asyncio.to_thread(hasher.update, piece)
            size += len(piece)
        if reading.mark not in {"", mark}:
            raise CorruptedError("the joined object was replaced while it was read", key=str(key))
        return Staged(key, Digest("sha256", hasher.hexdigest()), size, mark=mark)

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """A URL for one part in `staging/`; see `ObjectStore.presign_put`."""
        if not str(key).startswith(f"{layout.STAGING}/"):
            raise InvalidInputError("URLs to write are made for staging/ alone", key=str(key))
        return self._bucket.presign(
            "put_object", seconds=min(seconds, _URL_SECONDS), Key=self.name_of(key), ContentLength=size
        )

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """A URL that gives one object as an attachment; see `ObjectStore.presign_get`."""
        return self._bucket.presign(
            "get_object",
            seconds=min(seconds, _URL_SECONDS),
            Key=self.name_of(key),
            ResponseContentDisposition="attachment",
            ResponseContentType="application/octet-stream",
        )

    async def forget_unfinished(self, *, before: datetime) -> int:
        """Abort multipart uploads that a crash left; see `ObjectStore.forget_unfinished`."""
        ended = 0
        marks = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}
        async for found in self._bucket.pages(
            "list_multipart_uploads", "Uploads", marks, Prefix=self._prefix
        ):
            if found["Initiated"] < before:
                await Multipart(self._bucket, str(found["Key"]), str(found["UploadId"])).abandon()
                ended += 1
        return ended

    def close(self) -> None:
        """Give back the threads and the connections."""
        self._bucket.close()
