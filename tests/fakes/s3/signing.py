"""Signature version 4, as strictly as AWS: header form and query form."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from tests.fakes.s3.messages import RefusedError, Request

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_SKEW_SECONDS = 900
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class _Claim:
    credential: str
    names: list[str]
    signature: str
    stamp: str
    payload: str
    query: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets through what one key pair signed for now."""

    access_key: str
    secret_key: str
    now: Callable[[], datetime]

    def check(self, request: Request) -> None:
        """Refuse what is not signed, badly signed, too old, or leaves out what must be signed."""
        pairs = parse_qsl(request.query, keep_blank_values=True)
        presigned = "X-Amz-Signature" in dict(pairs)
        claim = self._by_query(pairs) if presigned else self._by_header(request, pairs)
        access_key, _, scope = claim.credential.partition("/")
        if access_key != self.access_key:
            raise RefusedError("InvalidAccessKeyId", 403)
        _must_be_signed(request, claim.names)
        if not hmac.compare_digest(self._signature(request, claim, scope), claim.signature):
            raise RefusedError("SignatureDoesNotMatch", 403)

    def _by_query(self, pairs: list[tuple[str, str]]) -> _Claim:
        given = dict(pairs)
        age = (self.now() - _moment(given["X-Amz-Date"])).total_seconds()
        if not -_SKEW_SECONDS <= age <= int(given["X-Amz-Expires"]):
            raise RefusedError("AccessDenied", 403, "Request has expired")
        query = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
        names = given["X-Amz-SignedHeaders"].split(";")
        return _Claim(
            given["X-Amz-Credential"], names, given["X-Amz-Signature"], given["X-Amz-Date"], _UNSIGNED, query
        )

    def _by_header(self, request: Request, pairs: list[tuple[str, str]]) -> _Claim:
        found = _HEADER.fullmatch(request.headers.get("authorization", ""))
        stamp = request.header("x-amz-date")
        payload = request.header("x-amz-content-sha256")
        if found is None or stamp is None or payload is None:
            raise RefusedError("AccessDenied", 403, "not signed")
        if abs((self.now() - _moment(stamp)).total_seconds()) > _SKEW_SECONDS:
            raise RefusedError("RequestTimeTooSkewed", 403)
        return _Claim(found[1], found[2].split(";"), found[3], stamp, payload, pairs)

    def _signature(self, request: Request, claim: _Claim, scope: str) -> str:
        day, region, service, _ = scope.split("/")
        canonical = "\n".join(
            [
                request.method,
                request.path,
                "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in claim.query)),
                *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in claim.names),
                "",
                ";".join(claim.names),
                claim.payload,
            ]
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", claim.stamp, scope, hashed])
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def _must_be_signed(request: Request, names: list[str]) -> None:
    needed = {name for name in request.headers if name.startswith("x-amz-")} | {"host"}
    if not needed <= set(names):
        raise RefusedError("AccessDenied", 403, "There were headers present which were not signed")


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
