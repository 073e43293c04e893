"""What can go wrong in the client, as exceptions that know their exit status.

ClientError
├── MisuseError          the caller asked for something that makes no sense (2)
├── NothingFoundError    the service knows nothing about it (3)
├── ContentError         a file is missing, unreadable, changing or not what it should be (1)
└── ServiceError         no usable answer from the service (4)
    ├── UnreachableError     nothing answered
    │   └── SpoolFullError       and there is no room to keep the step until something does
    └── RefusedError         the service answered with a problem document
"""

from __future__ import annotations

from custody import exits


class ClientError(Exception):
    """A failure with one line for the reader and perhaps a hint."""

    status = exits.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes without being made again from arguments that are not kept."""
        return _as_it_was, (type(self), self.args), self.__dict__


def _as_it_was(kind: type[ClientError], arguments: tuple[object, ...]) -> ClientError:
    return kind.__new__(kind, *arguments)


class MisuseError(ClientError):
    """The command line or the configuration makes no sense."""

    status = exits.MISUSED


class NothingFoundError(ClientError):
    """The service answered that it knows nothing about the subject."""

    status = exits.NOTHING_FOUND


class ContentError(ClientError):
    """A file is missing, unreadable, changing, or not what its digest says."""

    status = exits.FAILED


class PolicyError(ClientError):
    """A policy of the service said no."""

    status = exits.REFUSED


class ServiceError(ClientError):
    """The service gave no usable answer."""

    status = exits.SERVICE


class UnreachableError(ServiceError):
    """Nothing answered at the address of the service."""


class SpoolFullError(UnreachableError):
    """Nothing answered, and the spool has no room for the step."""


class RefusedError(ServiceError):
    """The service answered with a problem document (RFC 9457)."""

    def __init__(self, code: int, message: str, *, slug: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.slug = slug
