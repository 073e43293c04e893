"""Every error this package raises on purpose.

```
EvidenceError            a piece of evidence cannot be read
├── MalformedJsonError       not strict JSON
├── InvalidKeyError          not a public key we can use
└── InvalidExpectationError  what is expected cannot be checked
```
That evidence is well formed and not good enough is no error: it is a `Report`.
"""

from __future__ import annotations


class EvidenceError(Exception):
    """A piece of evidence cannot be read, and is refused."""


class MalformedJsonError(EvidenceError):
    """The text is not the strict JSON that every parser reads alike (RFC 8259, RFC 7493)."""


class InvalidKeyError(EvidenceError):
    """The text is not a public key of a kind that signs statements."""


class InvalidExpectationError(EvidenceError):
    """An expectation is unknown or malformed, so that nothing can be said to meet it."""
