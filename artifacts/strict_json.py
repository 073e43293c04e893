"""Strict JSON: accepted text means the same to every parser, or it is refused.

RFC 8259 leaves open what duplicate members, huge numbers and lone surrogates mean, and
parsers disagree (threats S11). What is refused here is what RFC 7493 (I-JSON) forbids.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import accumulate
from typing import Final, NoReturn, TypeAlias

from artifacts.errors import LimitExceededError, MalformedJsonError
from artifacts.limits import MAX_INTEGER, MAX_JSON_BYTES, MAX_JSON_DEPTH

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

# Possessive, and the closing quote is optional, so that no input makes it scan a byte twice.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def loads(
    raw: bytes, *, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_JSON_DEPTH, floats: bool = True
) -> JsonValue:
    """Parse `raw`, one JSON text in UTF-8, in time linear in its length.

    Args:
        raw: The text.
        max_bytes: The longest text to look at.
        max_depth: How deep arrays and objects may nest.
        floats: Whether numbers with a fraction or exponent are accepted.

    Raises:
        LimitExceededError: the text is longer than `max_bytes`.
        MalformedJsonError: not JSON, not UTF-8, with a byte order mark, nested too deep, or with
            duplicate members, NaN, infinities, integers beyond 2^53 or lone surrogates.
    """
    if len(raw) > max_bytes:
        raise LimitExceededError(f"the JSON text is longer than {max_bytes} bytes", length=len(raw))
    _check_depth(raw, max_depth)
    try:
        text = raw.decode()
        value: JsonValue = (_WITH_FLOATS if floats else _WITHOUT_FLOATS).decode(text)
    except UnicodeDecodeError as error:
        raise MalformedJsonError("the JSON text is not UTF-8", at=error.start) from error
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"not JSON: {error.msg}", at=error.pos) from error
    if b"\\u" in raw:  # only an escape can smuggle a surrogate past the UTF-8 decoder
        _check_surrogates(value)
    return value


def _check_depth(raw: bytes, max_depth: int) -> None:
    """Refuse deep nesting before the recursive parser sees it."""
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return
    brackets = _STRING.sub(b"", raw).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > max_depth:
        raise MalformedJsonError(f"the JSON text nests deeper than {max_depth} levels")


def _check_surrogates(value: JsonValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise MalformedJsonError("a JSON string holds a lone surrogate") from error


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJsonError("a JSON object has the same member twice", member=_duplicate(pairs))
    return members


def _duplicate(pairs: list[tuple[str, JsonValue]]) -> str:
    counts = Counter(name for name, _ in pairs)
    return counts.most_common(1)[0][0][:200]


def _integer(digits: str) -> int:
    # The length first: converting a million digits is quadratic.
    if len(digits) > 17 or abs(number := int(digits)) > MAX_INTEGER:
        raise MalformedJsonError(
            "an integer is beyond 2^53", hint="write large numbers as strings", given=digits[:40]
        )
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise MalformedJsonError("a number is too large", given=digits[:40])
    return number


def _refused(given: str) -> NoReturn:
    raise MalformedJsonError(f"{given[:40]} is not accepted in this JSON text")


_WITH_FLOATS: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_refused
)
_WITHOUT_FLOATS: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_refused, parse_constant=_refused
)
