"""Writing out the files of a tree: hashed first, created once, never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256

from zstandard import ZstdDecompressor

from custody.errors import ContentError
from custody.trees.errors import MalformedTreeError, UnsafeTreeError
from custody.trees.folders import Folders, clash
from custody.trees.layout import Frame
from custody.trees.links import Links
from custody.trees.manifest import EXECUTABLE, FILE, FOLDER, LINK, Manifest
from custody.trees.zstd import decoded

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODES = {FILE: 0o644, EXECUTABLE: 0o755}


class WrongBytesError(ContentError):
    """Some bytes are not what the manifest says; nothing was written of them."""


class Writer:
    """Writes the entries of one manifest below an open directory. Safe between threads."""

    def __init__(self, manifest: Manifest, folders: Folders) -> None:
        self.manifest = manifest
        self._folders = folders
        self.targets: dict[bytes, bytes] = {}
        """Where links lead, by their paths; they are made last."""

    def write_frame(
        self, frame: Frame, packed: bytes | memoryview, by: ZstdDecompressor | None = None
    ) -> int:
        """Write the files of one frame, (1) after all of them were hashed; return their bytes.

        Raises:
            WrongBytesError: The frame is damaged or holds other files; nothing was written.
        """
        try:
            plain = memoryview(decoded(packed, frame.plain, by))
        except MalformedTreeError as error:
            raise WrongBytesError(error.message) from error
        sizes, digests = self.manifest.sizes, self.manifest.digests
        pieces: list[memoryview] = []
        for entry, start in zip(frame.entries, frame.offsets, strict=True):
            piece = plain[start : start + sizes[entry]]
            if sha256(piece).digest() != digests[32 * entry : 32 * entry + 32]:  # (1)
                raise WrongBytesError(f"the bytes of {self._shown(entry)} are not what the manifest says")
            pieces.append(piece)
        self._write_all(frame.entries, pieces)
        return sum(map(len, pieces))

    def write_empty(self) -> None:
        """Write the files that hold nothing.

        Raises:
            WrongBytesError: The manifest gives such a file the digest of something else.
        """
        nothing = sha256(b"").digest()
        manifest = self.manifest
        for entry, (size, kind) in enumerate(zip(manifest.sizes, manifest.kinds, strict=True)):
            if size == 0 and kind != FOLDER:
                if manifest.raw(entry) != nothing:
                    raise MalformedTreeError(f"{self._shown(entry)} is empty, and its digest is not")
                self._write_all([entry], [memoryview(b"")])

    def create(self, entry: int) -> int:
        """Create the file of `entry` and return its descriptor, open for reading too."""
        parent, _, name = self.manifest.paths[entry].rpartition(b"/")
        mode = _MODES[self.manifest.kinds[entry]]
        with self._folders.at(parent) as folder:
            try:
                return os.open(name, (NEW & ~os.O_WRONLY) | os.O_RDWR, mode, dir_fd=folder)
            except FileExistsError as error:
                raise clash(self.manifest.paths[entry]) from error

    def make_links(self, *, allow_outward: bool) -> None:
        """Make the links, last of all.

        Raises:
            UnsafeTreeError: One leads out of the tree, and that was not allowed.
        """
        if not allow_outward:
            outward = Links(self.targets).outward()
            if outward:
                shown = ", ".join(os.fsdecode(path)[:200] for path in outward[:3])
                raise UnsafeTreeError(
                    f"{len(outward)} links lead out of the tree: {shown}",
                    hint="restore it with --allow-outward-links if you trust where they lead",
                )
        for path, target in self.targets.items():
            parent, _, name = path.rpartition(b"/")
            with self._folders.at(parent) as folder:
                try:
                    os.symlink(target, name, dir_fd=folder)
                except FileExistsError as error:
                    raise clash(path) from error

    def _write_all(self, entries: Iterable[int], contents: Iterable[memoryview]) -> None:
        """Write the contents of `entries`.

        Three system calls a file: it is created with its mode, and nothing else of it has to be
        set or known. This runs ten thousand times in a checkout, hence the local names.
        """
        paths, kinds, opened = self.manifest.paths, self.manifest.kinds, self._folders.opened
        create, write, close = os.open, os.write, os.close
        for entry, content in zip(entries, contents, strict=True):
            path, kind = paths[entry], kinds[entry]
            parent, _, name = path.rpartition(b"/")
            folder = opened.get(parent)
            if kind == LINK or folder is None:
                self._write_slowly(entry, content)
                continue
            try:
                descriptor = create(name, NEW, _MODES[kind], dir_fd=folder)
            except FileExistsError as error:
                raise clash(path) from error
            try:
                written = write(descriptor, content)
                while written < len(content):
                    written += write(descriptor, content[written:])
            finally:
                close(descriptor)

    def _write_slowly(self, entry: int, content: memoryview) -> None:
        """Write what is rare: a link, or a file in one of so many directories that not all stay open."""
        if self.manifest.kinds[entry] == LINK:
            self._keep_target(self.manifest.paths[entry], bytes(content))
            return
        descriptor = self.create(entry)
        try:
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)

    def _keep_target(self, path: bytes, target: bytes) -> None:
        if b"\0" in target:
            raise MalformedTreeError(f"the link {os.fsdecode(path)!r} leads to a name with a NUL")
        self.targets[path] = target

    def _shown(self, entry: int) -> str:
        return repr(os.fsdecode(self.manifest.paths[entry])[:200])
