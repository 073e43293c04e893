"""The fake S3 with identities, each held to its policies, as the configuration of SeaweedFS names them.

What SeaweedFS itself makes of that configuration is not tested here: nobody has run it.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from tests.fakes.s3.messages import Answer, RefusedError, Request
from tests.fakes.s3.operations import Operations, operation
from tests.fakes.s3.server import FakeS3
from tests.fakes.s3.signing import Gate
from tests.fakes.s3.sums import check_sums

_ACTIONS = {
    "PutObject": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "HeadBucket": "s3:ListBucket",
    "CreateBucket": "s3:CreateBucket",
}
_CREDENTIAL = re.compile(r"Credential=([^/]+)/")


class GuardedS3(FakeS3):
    """One bucket that has to be made first; `denied` is what was refused, by identity."""

    def __init__(self, bucket: str, configuration: Mapping[str, Any]) -> None:
        self.bucket = bucket
        self.made = False
        self.denied: list[tuple[str, str, str]] = []
        self._identities = configuration["identities"]
        self._policies = {one["name"]: json.loads(one["content"]) for one in configuration["policies"]}
        super().__init__()
        self._operations = Operations(bucket, self.shelf, self._moment)

    def serve(self, request: Request) -> Answer:
        """Answer what the identity that signed the request may ask."""
        try:
            identity = self._identity(request)
            (keys,) = identity["credentials"]
            Gate(keys["accessKey"], keys["secretKey"], self._moment).check(request)
            check_sums(request)
            self._authorise(identity, request)
            self._find(request)
        except RefusedError as error:
            return error.answer
        return self.answer_unsigned(request)

    def _find(self, request: Request) -> None:
        self.made = self.made or operation(request) == "CreateBucket"
        if not self.made:
            raise RefusedError("NoSuchBucket", 404)

    def _identity(self, request: Request) -> Mapping[str, Any]:
        found = _CREDENTIAL.search(request.headers.get("authorization", ""))
        given = found[1] if found else request.members.get("X-Amz-Credential", "").partition("/")[0]
        for identity in self._identities:
            if given in {one["accessKey"] for one in identity["credentials"]}:
                return identity  # type: ignore[no-any-return]  # JSON has no types
        raise RefusedError("InvalidAccessKeyId", 403)

    def _authorise(self, identity: Mapping[str, Any], request: Request) -> None:
        if "Admin" in identity["actions"]:
            return
        wanted = [(_ACTIONS[operation(request)], f"{request.bucket}/{request.key}".rstrip("/"))]
        if "x-amz-copy-source" in request.headers:
            wanted.append(("s3:GetObject", unquote(request.headers["x-amz-copy-source"]).lstrip("/")))
        for action, name in wanted:
            if not self._allowed(identity, action, f"arn:aws:s3:::{name}"):
                self.denied.append((identity["name"], action, name))
                raise RefusedError("AccessDenied", 403)

    def _allowed(self, identity: Mapping[str, Any], action: str, resource: str) -> bool:
        statements = [one for name in identity["policyNames"] for one in self._policies[name]["Statement"]]
        return any(
            one["Effect"] == "Allow"
            and action in one["Action"]
            and any(fnmatch.fnmatchcase(resource, pattern) for pattern in one["Resource"])
            for one in statements
        )


@contextmanager
def guarded(bucket: str, configuration: Mapping[str, Any]) -> Iterator[GuardedS3]:
    """A fake that is closed with the block."""
    fake = GuardedS3(bucket, configuration)
    try:
        yield fake
    finally:
        fake.close()
