"""Comparing a work tree with a commit by content alone.

Git's index is not asked: one with *assume-unchanged* marks, or written by somebody
else, says whatever it was made to say.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from custody.capture.clock import Tick
from custody.capture.gittree import LINK, SUBMODULE, Entry, TreeIgnore
from custody.capture.hashing import WHOLE_UP_TO, Hasher, hash_file, open_regular
from custody.capture.identity import Identity, facts_of, identity_of
from custody.capture.scan import Scan, scan
from custody.capture.statcache import StatCache

# So many differences are listed, and so many digests made for them.
MAX_CHANGES = 1000
MAX_IGNORE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """One path where work tree and commit differ.

    `kind` is modified, deleted, untracked, or converted (the same text with other line
    ends, which alone does not make a checkout dirty). `digest` is of the bytes found,
    None where there are none or they could not be read; `note` says what is special.
    """

    name: str
    kind: str
    digest: str | None = None
    note: str = ""


@dataclass(slots=True)
class Worktree:
    """The files below `top` beside the entries of a commit."""

    top: str
    entries: dict[str, Entry]
    algorithm: str
    cache: StatCache
    seen: list[Identity] = field(default_factory=list)
    _real_folders: dict[str, bool] = field(default_factory=lambda: {"": True})
    _tick: Tick | None = None
    _digests: int = 0

    def changes(self) -> Iterator[Change]:
        """Yield every difference of files and links; submodules are left to the caller."""
        self._tick = self.cache.tick(self.top)
        found = scan(self.top, self._ignore())
        for name, entry in self.entries.items():
            if entry.mode != SUBMODULE:
                change = self._compare(name, entry, found.files.get(name))
                if change is not None:
                    yield change
        yield from self._untracked(found)

    def _untracked(self, found: Scan) -> Iterator[Change]:
        for name in sorted(found.files.keys() - self.entries.keys()):
            yield Change(name, "untracked", self._sha256(name))
        for skipped in found.skipped:
            if skipped.name not in self.entries:
                yield Change(skipped.name, "untracked", None, skipped.kind)

    def _compare(self, name: str, entry: Entry, identity: Identity | None) -> Change | None:
        if entry.mode == LINK:
            return self._compare_link(name, entry)
        if identity is None:
            # Not listed by the scan: gone, ignored though tracked, or no regular file.
            identity = self._look(name)
        if identity is None:
            return Change(name, "deleted")
        if not stat.S_ISREG(facts_of(identity).mode):
            return Change(name, "modified", None, "no longer a regular file")
        return self._compare_content(name, entry, identity)

    def _compare_content(self, name: str, entry: Entry, identity: Identity) -> Change | None:
        raw = self._blob_id(name, identity)
        if raw is None:
            return Change(name, "modified", None, "unreadable")
        if raw != entry.raw:
            same_text = self._without_carriage_returns(name, identity) == entry.raw
            return Change(
                name,
                "converted" if same_text else "modified",
                self._sha256(name),
                "line ends" if same_text else "",
            )
        executable = bool(facts_of(identity).mode & 0o100)
        if executable != bool(entry.mode & 0o100):
            return Change(name, "modified", self._sha256(name), "mode")
        return None

    def _compare_link(self, name: str, entry: Entry) -> Change | None:
        try:
            target = os.fsencode(os.readlink(f"{self.top}/{name}")) if self._is_real(name) else None
        except FileNotFoundError:
            target = None
        except OSError:
            return Change(name, "modified", self._sha256(name), "no longer a link")
        if target is None:
            return Change(name, "deleted")
        if self._id_of(target) == entry.raw:
            return None
        return Change(name, "modified", f"sha256:{hashlib.sha256(target).hexdigest()}", "symlink")

    def _look(self, name: str) -> Identity | None:
        try:
            return identity_of(os.lstat(f"{self.top}/{name}")) if self._is_real(name) else None
        except OSError:
            return None

    def _is_real(self, name: str) -> bool:
        """Whether no directory above `name` is a link: what lies behind one is not this file."""
        folder = name.rpartition("/")[0]
        if folder not in self._real_folders:
            try:
                found = os.lstat(f"{self.top}/{folder}")
                real = stat.S_ISDIR(found.st_mode) and self._is_real(folder)
            except OSError:
                real = False
            self._real_folders[folder] = real
        return self._real_folders[folder]

    def _blob_id(self, name: str, identity: Identity) -> bytes | None:
        raw = self.cache.entries.get(identity)
        if raw is None:
            try:
                hashed = hash_file(f"{self.top}/{name}", expected=identity, start=self._begin)
            except OSError:
                return None
            self.cache.remember(hashed, self._tick)
            raw, identity = hashed.raw, hashed.identity
        self.seen.append(identity)
        return raw

    def _begin(self, size: int) -> Hasher:
        # Git's own names for content, not a choice of ours.
        made = hashlib.new(self.algorithm, usedforsecurity=False)
        made.update(b"blob %d\0" % size)
        return made

    def _id_of(self, content: bytes) -> bytes:
        hasher = self._begin(len(content))
        hasher.update(content)
        return hasher.digest()

    def _without_carriage_returns(self, name: str, identity: Identity) -> bytes | None:
        """Return the id of the file with LF for CRLF, as git stores text it converts; None for large files."""
        if facts_of(identity).size > WHOLE_UP_TO:
            return None
        content = self._read(name, WHOLE_UP_TO + 1)
        return None if content is None else self._id_of(content.replace(b"\r\n", b"\n"))

    def _sha256(self, name: str) -> str | None:
        self._digests += 1
        if self._digests > MAX_CHANGES:
            return None
        try:
            return hash_file(f"{self.top}/{name}").digest if self._is_real(name) else None
        except OSError:
            return None

    def _read(self, name: str, limit: int) -> bytes | None:
        try:
            with os.fdopen(open_regular(f"{self.top}/{name}"), "rb") as stream:
                return stream.read(limit)
        except OSError:
            return None

    def _ignore(self) -> TreeIgnore:
        """Read the `.gitignore` files that are exactly those of the commit."""
        files: dict[str, list[str]] = {}
        for name, entry in self.entries.items():
            folder, _, last = name.rpartition("/")
            if last == ".gitignore" and entry.mode not in (LINK, SUBMODULE) and self._is_real(name):
                content = self._read(name, MAX_IGNORE_BYTES)
                if content is not None and self._id_of(content) == entry.raw:
                    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
                    files[f"{folder}/" if folder else ""] = text.split("\n")
        submodules = (name for name, entry in self.entries.items() if entry.mode == SUBMODULE)
        return TreeIgnore(files, submodules)
