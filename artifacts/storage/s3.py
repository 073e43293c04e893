"""One bucket of an S3-compatible service, called through boto3; nothing else imports boto3.

Vendor errors stop here. Retries are our own, because they differ by call: what may be
repeated is repeated with a growing pause, a DELETE never is, and every call has a
deadline, also against a server that sends one byte now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol, TypeVar

import boto3  # type: ignore[import-untyped]  # it has no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # it has no types
from botocore.config import Config  # type: ignore[import-untyped]  # it has no types
from botocore.exceptions import (  # type: ignore[import-untyped]  # it has no types
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.httpsession import URLLib3Session  # type: ignore[import-untyped]  # it has no types

from artifacts.errors import NotFoundError, UnavailableError
from artifacts.storage.s3_errors import ChangedError, PassingError, UnsupportedError, translated

MIB: Final = 1 << 20
_WRITES: Final = {"put_object", "create_multipart_upload", "upload_part"}
_T = TypeVar("_T")
Answer = Mapping[str, Any]  # Any: boto3 has no types for its answers


class Body(Protocol):
    """What boto3 gives for the bytes of an answer."""

    def read(self, amount: int) -> bytes:
        """The next `amount` bytes, fewer at the end."""

    def close(self) -> None:
        """Give the connection back, or break it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a bucket is and how to speak to it."""

    bucket: str
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    attempts: int = 4
    pause_seconds: float = 0.2
    threads: int = 16

    def __repr__(self) -> str:
        return f"Access({self.bucket!r}, {self.endpoint!r})"


class Bucket:
    """Makes calls on one bucket in a bounded number of threads."""

    def __init__(self, access: Access) -> None:
        self.name = access.bucket
        self._access = access
        self._threads = ThreadPoolExecutor(access.threads, thread_name_prefix="s3")
        self._client = _client(access, access.endpoint)
        # Without a public endpoint nobody outside could follow a URL, so none is made.
        self._public = _client(access, access.public_endpoint) if access.public_endpoint else None

    async def call(
        self,
        operation: str,
        *,
        once: bool = False,
        expecting: tuple[type[Exception], ...] = (),
        needs: tuple[str, ...] = (),
        **members: Any,
    ) -> Answer:
        """Make a call; repeat it while it fails for a reason that may pass, unless `once`.

        An answer without the members in `needs` was cut off on its way, and is asked for again.

        Raises:
            NotFoundError: there is no such object.
            ChangedError: a condition did not hold; only if it is in `expecting`.
            UnsupportedError: the server does not know a part of the call; only if it is in `expecting`.
            UnavailableError: the store does not answer, or not in time, or not as it should.
        """
        ask = getattr(self._client, operation)

        def run() -> Answer:
            answer: Answer = ask(Bucket=self.name, **members)
            if any(name not in answer for name in needs):
                raise PassingError("the object store errs", "its answer is not whole")
            return answer

        try:
            return await self.repeat(run, attempts=1 if once else self._access.attempts)
        except (ChangedError, UnsupportedError) as error:
            if isinstance(error, expecting):
                raise
            code = f"{operation}: {type(error).__name__.removesuffix('Error').lower()}"
            raise UnavailableError("the object store refuses a plain request", code=code) from error
        except NotFoundError as error:
            if operation not in _WRITES:
                raise
            raise UnavailableError("the object store has no place to write to") from error

    async def pages(
        self, operation: str, member: str, marks: Mapping[str, str], **members: Any
    ) -> AsyncIterator[Answer]:
        """Give each `member` of a listing, page by page; `marks` names how a page points to the next.

        Raises:
            UnavailableError: the server gives the same page again and again.
        """
        before: list[Answer] = []
        at: dict[str, Any] = {}  # Any: as boto3 takes
        repeated = 0
        while True:
            answer = await self.call(operation, **members, **at)
            page = list(answer.get(member, ()))
            fresh = [found for found in page if found not in before]
            for found in fresh:
                yield found
            if not answer.get("IsTruncated"):
                return
            repeated = 0 if fresh else repeated + 1
            if repeated >= self._access.attempts:
                raise UnavailableError("the object store repeats its list", operation=operation)
            if fresh:
                before = page
                at = {given: answer[name] for name, given in marks.items()}

    async def repeat(self, run: Callable[[], _T], *, attempts: int | None = None) -> _T:
        """Run a blocking call in a thread, repeated as `call` says."""
        left = self._access.attempts if attempts is None else attempts
        pause = self._access.pause_seconds
        while True:
            left -= 1
            try:
                return await self.in_thread(run)
            except PassingError as error:
                if left <= 0:
                    raise error.for_good() from error
            # Everyone who failed together must not come back together.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # spreads load, guards nothing
            pause *= 2

    async def in_thread(self, run: Callable[[], _T]) -> _T:
        """Run a blocking call in a thread, once, with a deadline, in our own errors."""
        deadline = self._access.connect_seconds + 2 * self._access.read_seconds
        try:
            ran = asyncio.get_running_loop().run_in_executor(self._threads, run)
            return await asyncio.wait_for(ran, deadline)
        except TimeoutError as error:
            raise PassingError("the object store is too slow", f"{deadline:.0f} s") from error
        except ClientError as error:
            raise translated(error.response) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise PassingError("the object store does not answer", type(error).__name__) from error

    def presign(self, operation: str, *, seconds: int, **members: Any) -> str | None:
        """A URL for one call on the public endpoint; None where there is no such endpoint."""
        if self._public is None:
            return None
        url: str = self._public.generate_presigned_url(
            operation, Params={"Bucket": self.name, **members}, ExpiresIn=seconds
        )
        return url

    def plain_url(self, name: str) -> str:
        """The address of an object without any signature, for `doctor`."""
        signed: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.name, "Key": name}, ExpiresIn=1
        )
        return signed.partition("?")[0]

    async def follow(self, method: str, url: str, body: bytes = b"") -> tuple[int, bytes]:
        """Use a presigned URL as a client would; `doctor` alone does so."""

        def send() -> tuple[int, bytes]:
            request = AWSRequest(method, url, {"Content-Length": str(len(body))}, body).prepare()
            answer = URLLib3Session(timeout=self._access.read_seconds).send(request)
            return answer.status_code, answer.content

        return await self.repeat(send)

    def close(self) -> None:
        """Give back the threads and the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in (self._client, self._public):
            if client is not None:
                client.close()


@cache
def _models() -> Any:  # Any: boto3 makes its classes at run time
    # A session holds the description of the whole service, parsed: half a second, once.
    return boto3.session.Session()


def _client(access: Access, endpoint: str | None) -> Any:
    config = Config(
        signature_version="s3v4",
        connect_timeout=access.connect_seconds,
        read_timeout=access.read_seconds,
        max_pool_connections=access.threads,
        retries={"total_max_attempts": 1},
        # A bucket name in the host part needs wildcard names in DNS, which own servers seldom have.
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Not every server knows the newer checksums; bytes are hashed by us in any case.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return _models().client(
        "s3",
        endpoint_url=endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=config,
    )
