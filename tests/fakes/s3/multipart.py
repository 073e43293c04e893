"""Multipart uploads of the fake."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.fakes.s3.messages import Answer, RefusedError, Request, document, element
from tests.fakes.s3.shelf import Shelf, Stored, Upload, etag, kept

LEAST_PART = 5 << 20
_PART = re.compile(
    rb"<Part>\s*(?:<ETag>(?P<a>[^<]*)</ETag>\s*<PartNumber>(?P<n>\d+)</PartNumber>"
    rb"|<PartNumber>(?P<m>\d+)</PartNumber>\s*<ETag>(?P<b>[^<]*)</ETag>)\s*</Part>"
)
_SOURCE_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Multiparts:
    """The operations on unfinished uploads; the shelf is locked around each."""

    shelf: Shelf
    now: Callable[[], datetime]
    source: Callable[[Request], Stored]

    def operations(self) -> dict[str, Callable[[Request], Answer]]:
        return {
            "CreateMultipartUpload": self._create,
            "UploadPart": self._part,
            "UploadPartCopy": self._part_copy,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListMultipartUploads": self._list,
        }

    def _create(self, request: Request) -> Answer:
        upload = self.shelf.new_upload(request.key, self.now(), kept(request.headers))
        return document("InitiateMultipartUploadResult", element("UploadId", upload))

    def _found(self, request: Request) -> Upload:
        found = self.shelf.uploads.get(request.members["uploadId"])
        if found is None or found.key != request.key:
            raise RefusedError("NoSuchUpload", 404)
        return found

    def _keep(self, request: Request, content: bytes) -> str:
        number = int(request.members["partNumber"])
        if not 1 <= number <= 10_000:
            raise RefusedError("InvalidArgument", 400)
        mark = etag(content)
        self._found(request).parts[number] = (content, mark)
        return mark

    def _part(self, request: Request) -> Answer:
        return Answer(200, b"", {"ETag": self._keep(request, request.body)})

    def _part_copy(self, request: Request) -> Answer:
        self._found(request)
        content = self.source(request).content
        asked = request.header("x-amz-copy-source-range")
        if asked is not None:
            found = _SOURCE_RANGE.fullmatch(asked)
            if found is None or int(found[2]) >= len(content):
                raise RefusedError("InvalidArgument", 400)
            content = content[int(found[1]) : int(found[2]) + 1]
        return document("CopyPartResult", element("ETag", self._keep(request, content)))

    def _complete(self, request: Request) -> Answer:
        upload = self._found(request)
        named = [
            (int(found["n"] or found["m"]), _unescaped(found["a"] or found["b"]))
            for found in _PART.finditer(request.body)
        ]
        if not named or [number for number, _ in named] != sorted({number for number, _ in named}):
            raise RefusedError("InvalidPartOrder", 400)
        if any(upload.parts.get(number, (b"", ""))[1] != mark for number, mark in named):
            raise RefusedError("InvalidPart", 400)
        contents = [upload.parts[number][0] for number, _ in named]
        if any(len(content) < LEAST_PART for content in contents[:-1]):
            raise RefusedError("EntityTooSmall", 400)
        sums = b"".join(hashlib.md5(content, usedforsecurity=False).digest() for content in contents)
        mark = f'"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(contents)}"'
        content = b"".join(contents)
        self.shelf.objects[request.key] = Stored(content, mark, self.now(), upload.headers)
        del self.shelf.uploads[request.members["uploadId"]]
        return document("CompleteMultipartUploadResult", element("Key", request.key), element("ETag", mark))

    def _abort(self, request: Request) -> Answer:
        self._found(request)
        del self.shelf.uploads[request.members["uploadId"]]
        return Answer(204)

    def _list(self, request: Request) -> Answer:
        if "uploads" not in request.members:
            raise RefusedError("NotImplemented", 501, request.query)
        prefix = request.members.get("prefix", "")
        found = [(name, one) for name, one in self.shelf.uploads.items() if one.key.startswith(prefix)]
        return document(
            "ListMultipartUploadsResult",
            element("IsTruncated", "false"),
            *(
                element(
                    "Upload",
                    element("Key", one.key),
                    element("UploadId", name),
                    element("Initiated", one.began_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
                )
                for name, one in found
            ),
        )


def _unescaped(mark: bytes) -> str:
    return mark.replace(b"&quot;", b'"').replace(b"&#34;", b'"').decode()
