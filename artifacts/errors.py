"""Every error the service raises on purpose.

```
CustodyError
├── InvalidInputError        what was sent cannot be accepted
│   ├── MalformedJsonError       not strict JSON
│   ├── InvalidDigestError       not a digest we know
│   ├── DigestMismatchError      other bytes than declared
│   └── IdempotencyMismatchError one key, two bodies
├── LimitExceededError       a documented limit would be passed
│   └── QuotaExceededError       the project has no room for these bytes
├── RateLimitedError         asked too often
├── UnauthenticatedError     no token, or one nobody issued
├── ForbiddenError           a token that may not do this
├── NotFoundError            nothing recorded under that name
├── PurgedError              bytes that were removed for good
├── ConflictError            it contradicts what is recorded
│   └── StepFinishedError        the step is sealed
├── EvidenceError            evidence is refused, for ever
├── CorruptedError           stored bytes are not what was written
└── UnavailableError         try again later
    ├── GaveWayError             others were writing the same
    ├── AwaitingBytesError       a worker has not read the bytes back yet
    └── BeingRemovedError        bytes that are being removed at the moment
```
Errors carry facts, never HTTP; `api/problems.py` gives each class a status.
"""

from __future__ import annotations

from typing import ClassVar


class CustodyError(Exception):
    """The root of the tree; `slug` names the heading in `docs/problems.md`."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts


class InvalidInputError(CustodyError):
    """What was sent cannot be accepted."""

    slug = "invalid-input"
    title = "The request is not valid"


class MalformedJsonError(InvalidInputError):
    """The text is not the strict JSON that every parser reads alike (RFC 8259, RFC 7493)."""

    slug = "malformed-json"
    title = "The body is not strict JSON"


class InvalidDigestError(InvalidInputError):
    """A digest is malformed or of an algorithm that is not supported."""

    slug = "invalid-digest"
    title = "Not a supported digest"


class DigestMismatchError(InvalidInputError):
    """The stored or sent bytes do not hash to the declared digest."""

    slug = "digest-mismatch"
    title = "The content does not match its digest"


class IdempotencyMismatchError(InvalidInputError):
    """An `Idempotency-Key` came back with another body."""

    slug = "idempotency-mismatch"
    title = "That idempotency key belongs to another request"


class LimitExceededError(CustodyError):
    """A documented limit would be passed."""

    slug = "limit-exceeded"
    title = "The request is larger than allowed"


class QuotaExceededError(LimitExceededError):
    """The project's quota has no room for these bytes; `retry_after` is a guess in seconds."""

    slug = "quota-exceeded"
    title = "The project's quota is used up"


class RateLimitedError(CustodyError):
    """A token asks more often than it may; `retry_after` says for how many seconds it has to wait."""

    slug = "rate-limited"
    title = "Too many requests"


class UnauthenticatedError(CustodyError):
    """There is no token, or one that nobody issued."""

    slug = "unauthenticated"
    title = "A valid token is needed"


class ForbiddenError(CustodyError):
    """The token is known and may not do this."""

    slug = "forbidden"
    title = "This token may not do that"


class NotFoundError(CustodyError):
    """Nothing is recorded under that name in the caller's project."""

    slug = "not-found"
    title = "Not recorded here"


class PurgedError(CustodyError):
    """An operator had these bytes removed for good; they are not taken in again."""

    slug = "purged"
    title = "These bytes were removed for good"


class ConflictError(CustodyError):
    """The request contradicts what is recorded, and what is recorded stays."""

    slug = "conflict"
    title = "It contradicts what is recorded"


class StepFinishedError(ConflictError):
    """The step is sealed; nothing can be added or changed."""

    slug = "step-finished"
    title = "The step is already finished"


class EvidenceError(CustodyError):
    """A piece of evidence, or a record asked to become one, is refused."""

    slug = "evidence-refused"
    title = "The evidence is refused"


class CorruptedError(CustodyError):
    """Stored bytes are not the bytes that were written; they are never served."""

    slug = "corrupted"
    title = "The stored content is damaged"


class UnavailableError(CustodyError):
    """A part the service needs does not answer; the same request may work later."""

    slug = "unavailable"
    title = "Not available at the moment"


class GaveWayError(UnavailableError):
    """The index undid a transaction so that another could end; it may simply be repeated."""

    slug = "gave-way"
    title = "Others were writing the same at the same time"


class AwaitingBytesError(UnavailableError):
    """A worker has not yet read back bytes that a record names."""

    slug = "awaiting-bytes"
    title = "The bytes are not confirmed yet"


class BeingRemovedError(UnavailableError):
    """These bytes are being removed at the moment; `retry_after` says in how many seconds to send them again."""

    slug = "being-removed"
    title = "These bytes are being removed at the moment"
