"""Where a tree comes from: what this machine has of it, and the service for the rest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from custody.errors import NothingFoundError, ServiceError
from custody.nodestore.store import NodeStore
from custody.trees import layout as layouts
from custody.trees import manifest as manifests
from custody.trees.errors import MalformedTreeError
from custody.trees.frames_kept import KeptFrames
from custody.trees.layout import MAX_LAYOUT, Layout
from custody.trees.manifest import MAX_BYTES, Manifest
from custody.trees.supply import Supply
from custody.trees.zstd import pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.trees.direct import Direct, References
    from custody.trees.remote import TreeService
    from custody.wire import Document

_PATIENCE = 25
"""Seconds that one question waits for a tree that is still being checked."""


class Source:
    """One project's trees, by way of this machine's store."""

    def __init__(self, connect: Callable[[], TreeService], store: NodeStore | None) -> None:
        """Prepare; `connect` is called once something is missing here."""
        self._connect = connect
        self._remote: TreeService | None = None
        self.store = store
        self.complete = False
        """Whether this machine seemed to have all that the last layout names."""
        self._known: tuple[str, Document] = ("", {})
        self._references: References | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def supply(self) -> Supply:
        """Return a way to the bytes for one thread."""
        return Supply(self._direct, self.store, self._turn)

    def _direct(self) -> Direct:
        from custody.trees.direct import Direct, References

        with self._lock:
            if self._references is None:
                self._references = References()
            return Direct(self.remote.twin(), self._references)

    @property
    def remote(self) -> TreeService:
        """The service."""
        if self._remote is None:
            self._remote = self._connect()
        return self._remote

    def manifest(self, sha256: str) -> Manifest:
        """Return the tree whose manifest has the digest `sha256`.

        Raises:
            NothingFoundError: The service knows no such tree.
            MalformedTreeError: What it sent is not that manifest.
        """
        key = f"manifests/{sha256}"
        kept = None if self.store is None else self.store.read(key, limit=MAX_BYTES)
        if kept is not None and self.store is not None:
            with contextlib.suppress(MalformedTreeError):
                return _manifest(kept, sha256)
            self.store.drop(key)
        packed = self.remote.manifest(sha256)
        found = _manifest(packed, sha256)
        if self.store is not None:
            self.store.keep(key, packed)
        return found

    def knows(self, sha256: str) -> bool:
        """Whether there is such a tree, here or at the service."""
        if self.store is not None and self.store.size(f"manifests/{sha256}"):
            return True
        try:
            self._known = sha256, self.remote.state(sha256)
        except NothingFoundError:
            return False
        return True

    def layout(self, manifest: Manifest) -> Layout:
        """Return where the bytes of a tree lie: an older answer is as good, if the bytes are here.

        Raises:
            NothingFoundError: The service does not have the tree, or not all of it yet.
            MalformedTreeError: What it sent is no layout of this tree.
        """
        kept = self._kept_layout(manifest)
        self.complete = kept is not None
        if kept is not None:
            return kept
        self._await(manifest.sha256)
        packed = self.remote.layout(manifest.sha256)
        found = _layout(packed, manifest)
        if self.store is not None:
            self.store.keep(f"layouts/{manifest.sha256}", packed)
        return found

    @property
    def added(self) -> int:
        """The bytes that were added to the store and not yet counted there."""
        return 0 if self.store is None else self.store.added

    @added.setter
    def added(self, size: int) -> None:
        if self.store is not None:
            self.store.added = size

    def close(self) -> None:
        """Drop the connection and let the store make room."""
        if self._remote is not None:
            self._remote.transport.close()
        if self.store is not None:
            self.store.close()

    def _kept_layout(self, manifest: Manifest) -> Layout | None:
        """Return the layout kept here, if all that it names is kept here too."""
        store = self.store
        packed = None if store is None else store.read(f"layouts/{manifest.sha256}", limit=MAX_LAYOUT)
        if store is None or packed is None:
            return None
        try:
            found = _layout(packed, manifest)
        except MalformedTreeError:
            store.drop(f"layouts/{manifest.sha256}")
            return None
        return found if self._holds(store, found, manifest) else None

    def _holds(self, store: NodeStore, found: Layout, manifest: Manifest) -> bool:
        """Whether all that the layout `found` names is kept here."""
        kept = [KeptFrames(store, pack) for pack in found.packs]
        return all(kept[frame.pack].holds(frame) for frame in found.frames) and all(
            store.size(f"blobs/{manifest.raw(entry).hex()}") for entry in found.blobs
        )

    def _await(self, sha256: str) -> None:
        """Wait until the service has checked the tree.

        Raises:
            NothingFoundError: It will not have it by waiting.
            ServiceError: It takes too long.
        """
        from custody.wire import text

        asked, state = self._known
        # What was said a moment ago is as good; only "present" stays so.
        if asked != sha256 or state.get("state") != "present":
            state = self.remote.state(sha256)
        if state.get("state") == "checking":
            state = self.remote.state(sha256, wait=_PATIENCE)
        word = text(state, "state")
        if word == "checking":
            raise ServiceError(f"sha256:{sha256} is still being checked", hint="try again in a moment")
        if word != "present":
            why = text(state, "reason") or word
            raise NothingFoundError(f"the service does not have all of sha256:{sha256}: {why}")


def _manifest(packed: bytes, sha256: str) -> Manifest:
    found = manifests.parse(pieces(packed, limit=MAX_BYTES))
    if found.sha256 != sha256:
        raise MalformedTreeError(
            f"the manifest of sha256:{sha256} has the digest {found.digest}",
            hint="nothing was kept; tell the operator of the service",
        )
    return found


def _layout(packed: bytes, manifest: Manifest) -> Layout:
    return layouts.parse(b"".join(pieces(packed, limit=MAX_LAYOUT)), manifest)
