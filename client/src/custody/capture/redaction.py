"""Taking secrets out of a stream of bytes, whatever way it is cut into pieces."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from custody.capture.shapes import LONGEST, MASK, find_spans

# A secret of several lines is printed line by line; shorter lines say too little.
_SHORTEST_LINE = 8
MAX_SECRET = LONGEST
MOST_KEPT = 4 * LONGEST


class Redactor:
    """Replaces known values and well-known shapes of secrets by `***`.

    Feed every piece in order, then `flush`. Between calls at least as many bytes are
    kept back as the longest secret can have, so that none escapes by being cut in
    two, and at most `MOST_KEPT` and a piece.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Take the secret values, as `secret_values` finds them."""
        forms = {form for value in values for form in _forms(value)}
        self._values = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        """Take in `piece` and return what is certain by now."""
        content = self._kept + piece
        if len(content) <= 2 * LONGEST:
            self._kept = content
            return b""
        return self._emit(content, len(content) - LONGEST)

    def flush(self) -> bytes:
        """Return the rest; the stream has ended."""
        return self._emit(self._kept, len(self._kept))

    def redact(self, content: bytes) -> bytes:
        """Return the whole of `content` without its secrets."""
        written, _ = _replaced(content, self._spans(content), len(content))
        return written

    def _emit(self, content: bytes, certain: int) -> bytes:
        written, done = _replaced(content, self._spans(content), certain)
        self._kept = content[done:]
        return written

    def _spans(self, content: bytes) -> list[tuple[int, int]]:
        spans = find_spans(content)
        for value in self._values:
            spans.extend(_occurrences(content, value))
        return _merged(spans)


def _forms(value: str) -> Iterator[bytes]:
    """Yield how `value` may appear: itself, its lines, quoted for a URL or a shell, escaped for JSON, in base64."""
    whole = value.strip()
    yield from _bounded(whole)
    for line in whole.splitlines():
        if len(line.strip()) >= _SHORTEST_LINE:
            yield from _bounded(line.strip())
    yield from _bounded(quote(whole.encode("utf-8", "surrogateescape"), safe=""))
    yield from _bounded(json.dumps(whole)[1:-1])
    yield from _bounded(whole.replace("'", "'\\''"))
    for encode in (b64encode, urlsafe_b64encode):
        # Without its last characters, which depend on what stood behind it.
        whole_groups = len(whole.encode("utf-8", "surrogateescape")) // 3 * 3
        form = encode(whole.encode("utf-8", "surrogateescape")[:whole_groups])
        yield from _bounded(form.decode())


def _bounded(text: str) -> Iterator[bytes]:
    form = text.encode("utf-8", "surrogateescape")
    if form:
        # The beginning of a very long value is replaced, and so is every line of it.
        yield form[:MAX_SECRET]


def _occurrences(content: bytes, value: bytes) -> Iterator[tuple[int, int]]:
    at = content.find(value)
    while at >= 0:
        yield at, at + len(value)
        at = content.find(value, at + 1)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join the spans that overlap or touch, so that what is between two halves never stays."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _replaced(content: bytes, spans: list[tuple[int, int]], certain: int) -> tuple[bytes, int]:
    """Write `content` up to `certain` with its spans masked; return it and how far that reached.

    A span across `certain` waits for the next piece, which may lengthen it, unless
    so many secrets run into each other that keeping them would never end.
    """
    written: list[bytes] = []
    at = 0
    for start, end in spans:
        if start >= certain:
            break
        if certain < min(end, len(content)) and len(content) - start < MOST_KEPT:
            certain = start
            break
        written += (content[at:start], MASK)
        at = end
    if at < certain:
        written.append(content[at:certain])
        at = certain
    return b"".join(written), at
