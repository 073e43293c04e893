"""A captured directory, sent: only what the project lacks, in any order, as often as it takes.

1. Ask for the tree itself: most trees that did not change end here.
2. Ask which contents are missing.
3. Send large files as blobs and small ones in packs, several at a time, and propose
   each pack for the tree: the service hashes every file before it believes any of it.
4. Send the manifest (before the first proposal).
5. Wait until the service says that all of the tree is present.
"""

from __future__ import annotations

import os
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import BinaryIO

from custody.bodies import Content
from custody.capture.identity import identity_of
from custody.contents import HashedFile
from custody.errors import ContentError, NothingFoundError, RefusedError, ServiceError
from custody.progress import Advance
from custody.service import Service
from custody.trees.capture import Captured
from custody.trees.errors import ChangedError
from custody.trees.lines import opened
from custody.trees.manifest import FOLDER, Manifest
from custody.trees.packing import is_small, pack
from custody.trees.packs import Pack
from custody.trees.remote import MISSING_BATCH, TreeService
from custody.trees.zstd import encode
from custody.wire import Document, text

PATIENCE = 3600.0
"""Seconds to wait for the service to check a tree; it says meanwhile that it is alive."""

_WAIT = 20
_PROPOSAL = 40_000
"""Files in one proposal, and those of one pack more: about five megabytes of JSON."""

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent of a tree: bytes on the wire in blobs and packs, and how many of each."""

    digest: str
    packs: int = 0
    blobs: int = 0
    size: int = 0


@dataclass(slots=True)
class Upload:
    """One tree on its way to one project."""

    remote: TreeService
    captured: Captured
    advance: Advance | None = None
    _sent: list[int] = field(default_factory=lambda: [0, 0, 0])
    _plain: int = 0

    def send(self) -> Sent:
        """Send what is missing and return once the service has verified all of it.

        Raises:
            ChangedError: A file changed after it was captured.
            ServiceError: The service does not answer, or refuses the tree.
        """
        manifest = self.captured.manifest
        state = self._state()
        if state != "present":
            self._put_manifest()
            for _ in range(_ROUNDS):
                self._send_missing(missing(self.remote, manifest))
                state = self._settled(self.remote.propose(manifest.sha256, []))
                if state == "present":
                    break
        if state != "present":
            raise ServiceError(f"the service still lacks some of {manifest.digest}", hint="try again")
        packs, blobs, size = self._sent
        return Sent(manifest.digest, packs, blobs, size)

    def _state(self) -> str:
        try:
            return text(self.remote.state(self.captured.manifest.sha256), "state")
        except NothingFoundError:
            return ""

    def _put_manifest(self) -> None:
        manifest = self.captured.manifest
        size = sum(map(len, manifest.lines()))
        with tempfile.TemporaryFile(prefix="custody-") as kept:
            packed = encode(manifest.lines(), kept, size=size)
            # A descriptor of its own for each attempt: the transport closes what it has sent.
            content = Content(packed, lambda: _again(kept.fileno()))
            self.remote.put_manifest(manifest.sha256, content)

    def _send_missing(self, entries: Sequence[int]) -> None:
        manifest = self.captured.manifest
        small = array("I", (entry for entry in entries if is_small(manifest, entry)))
        large = [entry for entry in entries if manifest.sizes[entry] and not is_small(manifest, entry)]
        total = sum(manifest.sizes[entry] for entry in entries)
        with tempfile.TemporaryDirectory(prefix="custody-") as spool, opened(self.remote.transport) as lines:
            for entry in large:
                lines.do(partial(self._send_large, entry))
                self._note(total)
            batch: list[Pack] = []
            for made in pack(self.captured.root, manifest, small, spool, contents=self.captured.contents):
                lines.do(partial(self._send_pack, made))
                batch.append(made)
                if sum(one.files for one in batch) >= _PROPOSAL:
                    lines.finish()
                    self._propose(batch)
                    batch = []
                self._note(total)
            lines.finish()
            self._propose(batch)
            self._note(total)

    def _propose(self, batch: list[Pack]) -> None:
        if batch:
            self.remote.propose(self.captured.manifest.sha256, [one.index for one in batch])

    def _send_pack(self, made: Pack, service: Service) -> None:
        service.upload(made.content(), made.sha256)
        Path(made.path).unlink()
        self._sent[0] += 1
        self._sent[2] += made.size
        self._plain += made.plain

    def _send_large(self, entry: int, service: Service) -> None:
        manifest = self.captured.manifest
        path = os.fsdecode(manifest.paths[entry])
        sha256, size = manifest.raw(entry).hex(), manifest.sizes[entry]
        place = f"{self.captured.root}/{path}"
        try:
            # What is sent must hold still from here on, and the service compares the digest.
            file = HashedFile(place, sha256, size, identity_of(os.lstat(place)))
            service.put(file.content(), sha256)
        except (OSError, ContentError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.slug != "digest-mismatch":
                raise
            raise ChangedError(f"{path}: changed after it was captured") from error
        self._sent[1] += 1
        self._sent[2] += file.size
        self._plain += file.size

    def _note(self, total: int) -> None:
        if self.advance is not None:
            self.advance(min(self._plain, total), total)

    def _settled(self, page: Document) -> str:
        """Wait until the tree is checked, and return what became of it.

        Raises:
            ContentError: The service found other bytes than were announced.
            ServiceError: It takes too long.
        """
        manifest = self.captured.manifest
        deadline = time.monotonic() + PATIENCE
        while text(page, "state") == "checking":
            if time.monotonic() > deadline:
                raise ServiceError(f"the service is still checking {manifest.digest}", hint="try again later")
            page = self.remote.state(manifest.sha256, wait=_WAIT)
        if text(page, "state") == "refused":
            raise ContentError(
                f"the service refused {manifest.digest}: {text(page, 'reason') or 'wrong bytes'}"
            )
        return text(page, "state")


def missing(remote: TreeService, manifest: Manifest) -> Sequence[int]:
    """Return one entry for each content that the project lacks, in the order of the manifest."""
    wanted = bytearray(len(manifest))
    for batch in _batches(manifest):
        digests = list(batch)
        for start in range(0, len(digests), MISSING_BATCH):
            for digest in remote.missing(digests[start : start + MISSING_BATCH]):
                if digest in batch:
                    wanted[batch[digest]] = 1
    return array("I", compress(range(len(manifest)), wanted))


def _batches(manifest: Manifest) -> Iterator[dict[str, int]]:
    """Yield an entry for each content that is not empty, by its digest, about as many as one question may name.

    Each batch has all digests of its first bytes, so that no content is asked for twice and
    few of a million digests are held at a time.
    """
    firsts, kinds, sizes = manifest.digests[::32], manifest.kinds, manifest.sizes
    batch: dict[str, int] = {}
    for first in range(256):
        if batch and len(batch) + firsts.count(first) > MISSING_BATCH:
            yield batch
            batch = {}
        entry = firsts.find(first)
        while entry >= 0:
            if sizes[entry] and kinds[entry] != FOLDER:
                batch.setdefault(manifest.raw(entry).hex(), entry)
            entry = firsts.find(first, entry + 1)
    if batch:
        yield batch


def _again(descriptor: int) -> BinaryIO:
    """Return a stream from the beginning of an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.fdopen(os.dup(descriptor), "rb", buffering=0)
