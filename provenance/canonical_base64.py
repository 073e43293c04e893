"""Base64 as DSSE and Sigstore carry it: both alphabets, one spelling each."""

from __future__ import annotations

import base64
import binascii

from artifacts.errors import EvidenceError

_URL_SAFE = str.maketrans("-_", "+/")


def decode(text: object, what: str) -> bytes:
    """Decode `text`, in the standard or the URL-safe alphabet, padded.

    Text that decodes but would not be written so again (trailing bits, missing padding,
    whitespace, both alphabets at once) is refused: one value, one spelling (threats S12).

    Args:
        text: What stood in the JSON member.
        what: The member's name, for the message.

    Raises:
        EvidenceError: `text` is not such a string.
    """
    if not isinstance(text, str) or (("+" in text or "/" in text) and ("-" in text or "_" in text)):
        raise EvidenceError(f"{what} is not base64")
    # Large payloads come in the standard alphabet, and translating one takes as long as decoding it.
    standard = text.translate(_URL_SAFE) if "-" in text or "_" in text else text
    try:
        content = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(f"{what} is not base64") from error
    if encode(content) != standard:
        raise EvidenceError(f"{what} is not canonical base64")
    return content


def encode(content: bytes) -> str:
    """Write `content` in the standard alphabet, padded."""
    return base64.b64encode(content).decode("ascii")
