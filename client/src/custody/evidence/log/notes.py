"""Signed notes: text that somebody signed with Ed25519, and that others may sign as well.

https://c2sp.org/signed-note. A signature of a key that is not known is ignored; one of a
known key that fails makes the whole note worthless.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from custody.evidence.errors import EvidenceError

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
"""A witness signs with a time: https://c2sp.org/tlog-cosignature."""
MAX_NOTE_BYTES: Final = 64 * 1024
_MOST_SIGNATURES: Final = 64
_MARK: Final = "\N{EM DASH} "
_RAW: Final = 32
_TIME: Final = 8


def _check_name(name: str) -> None:
    if not name or "+" in name or any(letter.isspace() or letter < " " for letter in name):
        raise EvidenceError("not the name of a key: it has no spaces and no +")


def _decoded(text: str, what: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(f"{what} is not base64") from error
    if base64.b64encode(content).decode("ascii") != text:
        raise EvidenceError(f"{what} is not canonical base64")
    return content


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key that signs notes under a name."""

    name: str
    raw: bytes
    """The 32 bytes of an Ed25519 key."""
    kind: int = ED25519

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.raw) != _RAW or self.kind not in {ED25519, COSIGNATURE}:
            raise EvidenceError("notes are signed with Ed25519")

    @property
    def key_id(self) -> bytes:
        """Four bytes that find the key; they prove nothing."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """The key as one word: `<name>+<id>+<key>`."""
        encoded = base64.b64encode(bytes([self.kind]) + self.raw).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a key written as one word.

        Raises:
            EvidenceError: it is not one.
        """
        name, _, rest = text.partition("+")
        written_id, _, encoded = rest.partition("+")
        content = _decoded(encoded, "the key of a log")
        key = cls(name, content[1:], content[0] if content else 0)
        if key.key_id.hex() != written_id:
            raise EvidenceError("the key of a log does not have the id that stands beside it")
        return key

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Whether this key made `signature` under the note with that text."""
        message = text
        if self.kind == COSIGNATURE:
            moment, signature = signature[:_TIME], signature[_TIME:]
            message = b"cosignature/v1\ntime %d\n%b" % (int.from_bytes(moment, "big"), text)
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"{_MARK}{self.name} {base64.b64encode(self.key_id + self.signature).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Note:
    """Text and signature lines, parsed and not yet verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and served."""
        return (self.text + "\n" + "".join(one.line + "\n" for one in self.signatures)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Read a note.

        Raises:
            EvidenceError: it is not one.
        """
        if len(raw) > MAX_NOTE_BYTES:
            raise EvidenceError(f"a note is longer than {MAX_NOTE_BYTES} bytes")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise EvidenceError("a note is UTF-8") from error
        if any(letter < " " and letter != "\n" for letter in whole):
            raise EvidenceError("a note has no control characters")
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise EvidenceError("a note is text, an empty line and signatures")
        signatures = lines[:-1].split("\n")
        if len(signatures) > _MOST_SIGNATURES:
            raise EvidenceError(f"a note has at most {_MOST_SIGNATURES} signatures")
        return cls(text + "\n", tuple(map(_signature, signatures)))

    def verify(self, keys: Iterable[NoteKey]) -> frozenset[NoteKey]:
        """Return which of `keys` signed the note; at least one of them.

        Raises:
            EvidenceError: none did, or a signature that one of them should have made is wrong.
        """
        known = {(key.name, key.key_id): key for key in keys}
        signers = set()
        for one in self.signatures:
            key = known.get((one.name, one.key_id))
            if key is None:
                continue
            if not key.verifies(one.signature, self.text.encode()):
                raise EvidenceError("a signature under the note is wrong")
            signers.add(key)
        if not signers:
            raise EvidenceError("no known key signed the note")
        return frozenset(signers)


def _signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise EvidenceError("not a signature line of a note")
    _check_name(name)
    content = _decoded(encoded, "a signature under a note")
    if len(content) <= 4:
        raise EvidenceError("a signature under a note is too short")
    return NoteSignature(name, content[:4], content[4:])
