"""Requests and answers as the fake sees them, and the XML of S3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower case, `path` and `query` as they were sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def bucket(self) -> str:
        return unquote(self.path).lstrip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return unquote(self.path).lstrip("/").partition("/")[2]

    @property
    def members(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def header(self, name: str) -> str | None:
        return self.headers.get(name)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The request is answered with an S3 error."""

    def __init__(self, code: str, status: int, message: str = "") -> None:
        super().__init__(code)
        self.answer = Answer(status, error_body(code, message), {"Content-Type": "application/xml"})


def error_body(code: str, message: str = "") -> bytes:
    return HEAD + element("Error", element("Code", code), element("Message", message or code))


def element(name: str, *inside: str | bytes) -> bytes:
    """An element; text is escaped, bytes are elements already."""
    parts = [part if isinstance(part, bytes) else escape(part).encode() for part in inside]
    return b"<%s>%s</%s>" % (name.encode(), b"".join(parts), name.encode())


def document(name: str, *inside: bytes) -> Answer:
    return Answer(200, HEAD + element(name, *inside), {"Content-Type": "application/xml"})
