"""What the errors of an S3 server mean to us, and what whoever reads them can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from artifacts.errors import InvalidInputError, NotFoundError, UnavailableError

_PASSING: Final = {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling"}
_PASSING_STATUSES: Final = {409, 429, 500, 502, 503, 504}


class ChangedError(Exception):
    """A condition did not hold; callers turn it into what that means to them."""


class PassingError(Exception):
    """Something failed that may not fail again; callers repeat or give up."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def for_good(self) -> UnavailableError:
        """The same for callers who have repeated it often enough."""
        return UnavailableError(str(self), reason=self.reason)


class UnsupportedError(Exception):
    """The server does not know a part of S3 that we can do without."""


def translated(answer: Mapping[str, Any]) -> Exception:  # Any: boto3 has no types for its answers
    """The error for a refusal, as boto3 has read it."""
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    meaning = _MEANINGS.get(code)
    if meaning is not None:
        return meaning(code)
    if code in _PASSING or status in _PASSING_STATUSES:
        return PassingError("the object store fails", f"it answered {code} ({status})")
    if code.startswith("KMS"):
        return _unencrypted(code)
    return UnavailableError(
        "the object store refuses a request",
        hint="custody-server doctor says more",
        code=code,
        status_of_store=status,
    )


def _told(message: str, hint: str) -> Callable[[str], Exception]:
    return lambda code: UnavailableError(message, hint=hint, code=code)


_unencrypted: Final = _told(
    "the object store cannot encrypt", "check the key of CUSTODY_S3_SSE, and that the service may use it"
)
_refused: Final = _told(
    "the object store refuses the service",
    "check CUSTODY_S3_ACCESS_KEY, CUSTODY_S3_SECRET_KEY and the bucket's policy",
)
_skewed: Final = _told(
    "the clocks of service and store differ", "set the clock of this machine, or of the store"
)
_full: Final = _told(
    "the object store has no room",
    "raise the quota of the bucket or of its owner; what was acknowledged is kept, and nothing else is taken",
)
_no_bucket: Final = _told("there is no such bucket", "make it, or name another one in CUSTODY_STORE_URL")

_MEANINGS: Final[Mapping[str, Callable[[str], Exception]]] = {
    **dict.fromkeys(
        ("NoSuchKey", "NotFound", "404", "NoSuchUpload", "NoSuchVersion"),
        lambda _: NotFoundError("there is no such object"),
    ),
    **dict.fromkeys(("PreconditionFailed", "412"), lambda _: ChangedError()),
    **dict.fromkeys(("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"), _refused),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _skewed),
    **dict.fromkeys(("NotImplemented", "501"), lambda _: UnsupportedError()),
    **dict.fromkeys(("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"), _full),
    "NoSuchBucket": _no_bucket,
    "InvalidRange": lambda _: InvalidInputError("nothing of that range exists"),
}
