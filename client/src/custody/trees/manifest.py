"""The manifest of a tree, `custody-tree/v1`: written in one way, read strictly.

A manifest may list a million entries, so it is held in columns: 32 bytes of digest,
8 of size and 1 of kind for each, beside its path.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from binascii import hexlify, unhexlify
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import ge

from custody.trees.errors import MalformedTreeError
from custody.trees.escapes import check_length, check_path, check_written, escape, unescape

MEDIA_TYPE = "application/vnd.custody.tree.v1"
HEADER = b"custody-tree/v1\n"
MAX_ENTRIES = 1_000_000
MAX_BYTES = 512 << 20
MAX_TARGET = 4095

FILE, EXECUTABLE, LINK, FOLDER = range(4)
MODES = (b"644 f", b"755 f", b"777 l", b"755 d")

_CODES = {tuple(mode.split()): code for code, mode in enumerate(MODES)}
# Possessive, so that a match takes one pass and a mismatch no second one. No part of a line
# holds white space: once all lines match, splitting there gives five words a line.
_LINES = re.compile(
    rb"(?:(?:644 f|755 f|777 l|755 d) (?:[0-9a-f]{64}|-) (?:0|[1-9][0-9]{0,14}+) [!-~]++\n)*+"
)
_WORDS = 5
_MAX_LINE = 5 + 64 + 15 + 3 * 4096 + 4
_NO_DIGEST = b"0" * 64
_BLOCK = 1 << 20


class Manifest:
    """A tree, entry by entry in the order of the raw path bytes.

    Invariant: what `parse` returns keeps every rule of the format. Make one from
    other parts with `build`, which checks the same rules. Nothing here changes.

    Not a dataclass: to load what makes those would take a checkout longer than a manifest does.
    """

    __slots__ = ("digests", "kinds", "paths", "sha256", "sizes")

    def __init__(
        self, sha256: str, kinds: bytes, sizes: array[int], digests: bytes, paths: list[bytes]
    ) -> None:
        self.sha256, self.kinds, self.sizes, self.digests, self.paths = sha256, kinds, sizes, digests, paths

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def digest(self) -> str:
        """The identity of the tree, in its written form."""
        return f"sha256:{self.sha256}"

    @property
    def size(self) -> int:
        """The bytes of all files and link targets."""
        return sum(self.sizes)

    def __len__(self) -> int:
        return len(self.paths)

    def raw(self, entry: int) -> bytes:
        """Return the 32 bytes of the digest of an entry; zeros for an empty directory."""
        return self.digests[32 * entry : 32 * entry + 32]

    def lines(self) -> Iterator[bytes]:
        """Yield the manifest, some lines at a time."""
        yield HEADER
        for start in range(0, len(self.paths), 4096):
            yield b"".join(self.line(entry) for entry in range(start, min(start + 4096, len(self.paths))))

    def line(self, entry: int) -> bytes:
        """Return the line of one entry."""
        kind = self.kinds[entry]
        digest = b"-" if kind == FOLDER else hexlify(self.raw(entry))
        return b"%b %b %d %b\n" % (MODES[kind], digest, self.sizes[entry], escape(self.paths[entry]))

    def folders(self) -> list[bytes]:
        """Return every directory below the root, implied or listed, parents before children."""
        found = _parents(self.paths)
        found.update(path for path, kind in zip(self.paths, self.kinds, strict=True) if kind == FOLDER)
        return sorted(found)


def build(kinds: bytes, sizes: array[int], digests: bytes, paths: list[bytes]) -> Manifest:
    """Return the manifest of entries in any order.

    Raises:
        MalformedTreeError: The entries are no tree, or too many.
    """
    if not all(map(ge, paths[1:], paths)):
        order = sorted(range(len(paths)), key=paths.__getitem__)
        kinds = bytes(map(kinds.__getitem__, order))
        sizes = array("Q", map(sizes.__getitem__, order))
        digests = _rearranged(digests, order)
        paths = [paths[entry] for entry in order]
    for path in paths:
        check_path(path)
    _check_order(paths)
    draft = Manifest("", kinds, sizes, digests, paths)
    _check_whole(paths)
    hasher, total = hashlib.sha256(), 0
    for lines in draft.lines():
        hasher.update(lines)
        total += len(lines)
    if total > MAX_BYTES:
        raise MalformedTreeError(f"a manifest may have {MAX_BYTES} bytes, this one has {total}")
    return Manifest(hasher.hexdigest(), kinds, sizes, digests, paths)


def _rearranged(digests: bytes, order: list[int]) -> bytes:
    """Return the digests in another order, without an object for each."""
    found = bytearray(len(digests))
    for at, entry in enumerate(order):
        found[32 * at : 32 * at + 32] = digests[32 * entry : 32 * entry + 32]
    return bytes(found)


def parse(chunks: Iterable[bytes]) -> Manifest:
    """Read a manifest from its plain bytes, in pieces of any size.

    Raises:
        MalformedTreeError: It breaks any rule of the format.
    """
    hasher, columns = hashlib.sha256(), _Columns()
    pieces = _pieces(chunks, hasher)
    rest = b""
    while len(rest) < len(HEADER) and (piece := next(pieces, b"")):
        rest += piece
    if not rest.startswith(HEADER):
        raise MalformedTreeError("not a manifest of a tree")
    rest = columns.take(rest[len(HEADER) :])
    for piece in pieces:
        rest = columns.take(rest + piece)
    if rest:
        raise MalformedTreeError("the last line of the manifest is not ended")
    _check_whole(columns.paths)
    return Manifest(
        hasher.hexdigest(), bytes(columns.kinds), columns.sizes, bytes(columns.digests), columns.paths
    )


def _pieces(chunks: Iterable[bytes], hasher: hashlib._Hash) -> Iterator[bytes]:
    """Hash and yield everything in pieces of a bounded size."""
    total = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _BLOCK):
            piece = chunk[start : start + _BLOCK]
            total += len(piece)
            if total > MAX_BYTES:
                raise MalformedTreeError(f"the manifest is larger than {MAX_BYTES} bytes")
            hasher.update(piece)
            yield piece


class _Columns:
    """Takes in whole lines, many at a time, at the speed of the regular expression."""

    def __init__(self) -> None:
        self.kinds = bytearray()
        self.sizes = array("Q")
        self.digests = bytearray()
        self.paths: list[bytes] = []

    def take(self, text: bytes) -> bytes:
        """Take in the whole lines of `text` and return what follows the last of them.

        Raises:
            MalformedTreeError: One of them is malformed or out of order.
        """
        lines, newline, rest = text.rpartition(b"\n")
        if len(rest) > _MAX_LINE:
            raise MalformedTreeError("a line of the manifest is too long")
        self._add(lines + newline)
        return rest

    def _add(self, lines: bytes) -> None:
        """Take in `lines`, each ended.

        Raises:
            MalformedTreeError: One of them is malformed or out of order.
        """
        if not lines:
            return
        if _LINES.fullmatch(lines) is None:
            raise MalformedTreeError(f"the manifest has a malformed line after entry {len(self.paths)}")
        words = lines.split()
        digests = words[2::_WORDS]
        kinds = bytes(map(_CODES.__getitem__, zip(words[::_WORDS], words[1::_WORDS], strict=True)))
        numbers = array("Q", map(int, words[3::_WORDS]))
        _check_kinds(kinds, digests, numbers)
        self._add_paths(words[4::_WORDS], escaped=b"%" in lines)
        self.kinds += kinds
        self.sizes += numbers
        self.digests += unhexlify(b"".join(digests).replace(b"-", _NO_DIGEST))

    def _add_paths(self, written: list[bytes], *, escaped: bool) -> None:
        check_written(written)
        paths = [_unescaped(one) if b"%" in one else one for one in written] if escaped else written
        if max(map(len, paths)) > 255:
            for path in paths:
                check_length(path)
        if self.paths:
            paths.insert(0, self.paths.pop())
        _check_order(paths)
        self.paths += paths
        if len(self.paths) > MAX_ENTRIES:
            raise MalformedTreeError(f"a tree may have {MAX_ENTRIES} entries")


def _unescaped(written: bytes) -> bytes:
    path = unescape(written)
    check_path(path)
    return path


def _check_kinds(kinds: bytes, digests: Iterable[bytes], sizes: array[int]) -> None:
    for kind, digest, size in zip(kinds, digests, sizes, strict=True):
        if (digest == b"-") != (kind == FOLDER):
            raise MalformedTreeError("a directory in the manifest has a digest, or something else has none")
        if kind >= LINK and not (size == 0 if kind == FOLDER else 0 < size <= MAX_TARGET):
            raise MalformedTreeError("a link or directory in the manifest has an impossible size")


def _check_order(paths: list[bytes]) -> None:
    if any(map(ge, paths, islice(paths, 1, None))):
        raise MalformedTreeError("the entries of the manifest are not in order, or one stands there twice")


def _check_whole(paths: list[bytes]) -> None:
    """Check what holds between entries: nothing lies below an entry."""
    if len(paths) > MAX_ENTRIES:
        raise MalformedTreeError(f"a tree may have {MAX_ENTRIES} entries, this one has {len(paths)}")
    if not _parents(paths).isdisjoint(paths):
        raise MalformedTreeError("an entry of the manifest lies below one that is no directory, or not empty")


def _parents(paths: list[bytes]) -> set[bytes]:
    """Return all directories that `paths` imply."""
    found = {path.rpartition(b"/")[0] for path in paths}
    for folder in list(found):
        above = folder.rpartition(b"/")[0]
        while above not in found:
            found.add(above)
            above = above.rpartition(b"/")[0]
    found.discard(b"")
    return found
