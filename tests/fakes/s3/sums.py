"""Every checksum a request may carry is checked; one that is not known is refused."""

from __future__ import annotations

import base64
import hashlib
import zlib

from tests.fakes.s3.messages import RefusedError, Request


def check_sums(request: Request) -> None:
    """Refuse a body that is not what its headers say."""
    _check_payload(request)
    md5 = hashlib.md5(request.body, usedforsecurity=False).digest()
    if request.header("content-md5") not in {None, base64.b64encode(md5).decode()}:
        raise RefusedError("BadDigest", 400)
    known = {
        "x-amz-checksum-sha256": hashlib.sha256(request.body).digest(),
        "x-amz-checksum-sha1": hashlib.sha1(request.body, usedforsecurity=False).digest(),
        "x-amz-checksum-crc32": zlib.crc32(request.body).to_bytes(4, "big"),
    }
    for name, value in request.headers.items():
        if name.startswith("x-amz-checksum-"):
            if name not in known:
                raise RefusedError("NotImplemented", 501, name)
            if base64.b64encode(known[name]).decode() != value:
                raise RefusedError("BadDigest", 400)


def _check_payload(request: Request) -> None:
    said = request.header("x-amz-content-sha256")
    if said is None or said == "UNSIGNED-PAYLOAD":
        return
    if said.startswith("STREAMING-"):
        raise RefusedError("NotImplemented", 501, said)
    if said != hashlib.sha256(request.body).hexdigest():
        raise RefusedError("XAmzContentSHA256Mismatch", 400)
