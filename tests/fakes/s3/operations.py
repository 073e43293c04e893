"""What each request does to the shelf; everything that S3 has and this has not is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from tests.fakes.s3.messages import Answer, RefusedError, Request, document, element
from tests.fakes.s3.multipart import Multiparts
from tests.fakes.s3.shelf import Shelf, Stored, etag, kept

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_RETENTION: Final = re.compile(rb"<Mode>(GOVERNANCE|COMPLIANCE)</Mode>")
_PROTECTS: Final = re.compile(r"x-amz-server-side-|x-amz-object-lock-")
_ON_OBJECTS: Final[Mapping[tuple[str, bool], str]] = {
    ("PUT", False): "PutObject",
    ("PUT", True): "CopyObject",
    ("GET", False): "GetObject",
    ("HEAD", False): "HeadObject",
    ("DELETE", False): "DeleteObject",
}
_ON_UPLOADS: Final[Mapping[tuple[str, bool], str]] = {
    ("PUT", False): "UploadPart",
    ("PUT", True): "UploadPartCopy",
    ("POST", False): "CompleteMultipartUpload",
    ("DELETE", False): "AbortMultipartUpload",
}


def operation(request: Request) -> str:
    """The name of what is asked for."""
    members, copies = request.members, "x-amz-copy-source" in request.headers
    if not request.key:
        if "object-lock" in members and request.method == "GET":
            return "GetObjectLockConfiguration"
        wanted = "ListObjectsV2" if members.get("list-type") == "2" else "ListMultipartUploads"
        plain = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "GET": wanted}
        return plain.get(request.method, "Unknown")
    if "retention" in members and request.method == "PUT":
        return "PutObjectRetention"
    if "uploadId" in members:
        return _ON_UPLOADS.get((request.method, copies), "Unknown")
    if request.method == "POST" and "uploads" in members:
        return "CreateMultipartUpload"
    return _ON_OBJECTS.get((request.method, copies), "Unknown")


@dataclass
class Operations:
    """Answers requests that have passed the gate."""

    bucket: str
    shelf: Shelf
    now: Callable[[], datetime]
    page: int = 1000
    locks: bool = False

    def answer(self, request: Request) -> Answer:
        if request.bucket != self.bucket:
            raise RefusedError("NoSuchBucket", 404)
        multiparts = Multiparts(self.shelf, self.now, self._source)
        known: dict[str, Callable[[Request], Answer]] = {
            "CreateBucket": lambda _: Answer(),
            "HeadBucket": lambda _: Answer(),
            "GetObjectLockConfiguration": self._lock_configuration,
            "PutObjectRetention": self._retain,
            "ListObjectsV2": self._list,
            "PutObject": self._put,
            "CopyObject": self._copy,
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": self._delete,
            **multiparts.operations(),
        }
        wanted = known.get(operation(request))
        if wanted is None:
            raise RefusedError("NotImplemented", 501, f"{request.method} ?{request.query}")
        self._check_lock(request)
        with self.shelf.lock:
            return wanted(request)

    def _lock_configuration(self, _: Request) -> Answer:
        if not self.locks:
            raise RefusedError("ObjectLockConfigurationNotFoundError", 404)
        return document("ObjectLockConfiguration", element("ObjectLockEnabled", "Enabled"))

    def _retain(self, request: Request) -> Answer:
        found = _RETENTION.search(request.body)
        if not self.locks or found is None or request.key not in self.shelf.objects:
            raise RefusedError("InvalidRequest", 400)
        return Answer()

    def _check_lock(self, request: Request) -> None:
        """As S3 does: locks need a bucket that was made for them, and bodies a sum."""
        if "x-amz-object-lock-mode" not in request.headers:
            return
        plain = request.method == "PUT" and "x-amz-copy-source" not in request.headers
        if not self.locks or (plain and "content-md5" not in request.headers):
            raise RefusedError("InvalidRequest", 400)

    def _put(self, request: Request) -> Answer:
        known = self.shelf.objects.get(request.key)
        if request.header("if-none-match") == "*" and known is not None:
            raise RefusedError("PreconditionFailed", 412)
        wanted = request.header("if-match")
        if wanted is not None and (known is None or known.etag != wanted):
            raise RefusedError("PreconditionFailed", 412)
        return self._keep(request, request.body, kept(request.headers))

    def _keep(self, request: Request, content: bytes, headers: dict[str, str]) -> Answer:
        stored = Stored(content, etag(content), self.now(), headers)
        self.shelf.objects[request.key] = stored
        return Answer(200, b"", {"ETag": stored.etag})

    def _source(self, request: Request) -> Stored:
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        found = self.shelf.objects.get(key)
        if bucket != self.bucket or found is None:
            raise RefusedError("NoSuchKey", 404)
        if request.header("x-amz-copy-source-if-match") not in {None, found.etag}:
            raise RefusedError("PreconditionFailed", 412)
        return found

    def _copy(self, request: Request) -> Answer:
        found = self._source(request)
        # A copy takes over what its source says of itself, but not how it is protected.
        own = {name: value for name, value in found.headers.items() if not _PROTECTS.match(name)}
        headers = {**own, **kept(request.headers)}
        self._keep(request, found.content, headers)
        return document("CopyObjectResult", element("ETag", etag(found.content)))

    def _get(self, request: Request) -> Answer:
        found = self.shelf.objects.get(request.key)
        if found is None:
            raise RefusedError("NoSuchKey", 404)
        if request.header("if-match") not in {None, found.etag}:
            raise RefusedError("PreconditionFailed", 412)
        content, status, headers = found.content, 200, {**found.headers, "ETag": found.etag}
        headers["Last-Modified"] = found.changed_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
        asked = request.members.get("response-content-disposition")
        if asked is not None:
            headers["Content-Disposition"] = asked
        if "range" in request.headers:
            content, status, headers["Content-Range"] = _ranged(content, request.headers["range"])
        return Answer(status, content, headers)

    def _delete(self, request: Request) -> Answer:
        self.shelf.objects.pop(request.key, None)
        return Answer(204)

    def _list(self, request: Request) -> Answer:
        members = request.members
        if set(members) - {"list-type", "prefix", "continuation-token", "max-keys", "encoding-type"}:
            raise RefusedError("NotImplemented", 501, request.query)
        after, prefix = members.get("continuation-token", ""), members.get("prefix", "")
        keys = sorted(key for key in self.shelf.objects if key.startswith(prefix) and key > after)
        size = min(int(members.get("max-keys", self.page)), self.page)
        more = len(keys) > size
        return document(
            "ListBucketResult",
            element("IsTruncated", str(more).lower()),
            element("NextContinuationToken", keys[size - 1]) if more else b"",
            *(self._listed(key) for key in keys[:size]),
        )

    def _listed(self, key: str) -> bytes:
        found = self.shelf.objects[key]
        changed = found.changed_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        size = str(len(found.content))
        return element(
            "Contents",
            element("Key", key),
            element("Size", size),
            element("ETag", found.etag),
            element("LastModified", changed),
        )


def _ranged(content: bytes, header: str) -> tuple[bytes, int, str]:
    found = _RANGE.fullmatch(header)
    if found is None:
        raise RefusedError("NotImplemented", 501, header)
    first, last = int(found[1]), int(found[2] or len(content) - 1)
    if first >= len(content) or last < first:
        raise RefusedError("InvalidRange", 416)
    last = min(last, len(content) - 1)
    return content[first : last + 1], 206, f"bytes {first}-{last}/{len(content)}"
