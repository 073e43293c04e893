"""A step on its way into the spool: in memory until its bytes have to be kept, then whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from custody import clock
from custody.bodies import Content
from custody.errors import ContentError, RefusedError, SpoolFullError
from custody.ids import new_ulid
from custody.spool.durable import move, remove, sync_folder, write_file
from custody.spool.entry import FILE, Entry, Made, tree_folder
from custody.spool.location import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.trees.capture import Captured

_CHUNK = 1024 * 1024
_KEPT_FREE = 64 * 1024 * 1024


class Draft:
    """Remembers everything that is said of a step, so that it can be said again later."""

    def __init__(
        self, spool: Spool, service: str, begin: Mapping[str, object], run: Mapping[str, str] | None
    ) -> None:
        """Start to remember; nothing is written yet.

        Args:
            spool: Where it goes if it has to.
            service: The address that it is for.
            begin: The request that begins the step.
            run: What finds its run, where that is still to be done.
        """
        self._spool = spool
        self._service = service
        self._begin = dict(begin)
        self._run = dict(run) if run is not None else None
        self._inputs: list[dict[str, object]] = []
        self._outputs: dict[tuple[str, str], Made] = {}
        self._folder: Path | None = None
        self._held = ExitStack()
        self._room = 0
        self._one_copy = threading.Lock()

    def found_run(self, run: str) -> None:
        """Note that its run is found; the step is begun with that and nothing else."""
        self._begin["run"] = run
        self._run = None

    def begin(self) -> Mapping[str, object]:
        """Return the request that begins the step."""
        return self._begin

    def add_inputs(self, inputs: Sequence[Mapping[str, object]]) -> None:
        """Remember inputs."""
        self._inputs.extend(dict(one) for one in inputs)

    def refer(self, reference: Mapping[str, object], *, role: str = "output", size: int = 0) -> None:
        """Remember an output whose bytes the service has."""
        digest = reference["digest"]
        sha256 = digest["sha256"] if isinstance(digest, dict) else ""
        more = {name: value for name, value in reference.items() if name not in ("name", "digest", "role")}
        self._add(
            Made(str(reference["name"]), str(sha256), size, str(reference.get("role", role)), False, more)
        )

    def keep(self, name: str, content: Content, sha256: str, *, role: str, uri: str | None) -> None:
        """Copy the bytes of an output: the copy is private, so nobody changes it afterwards.

        Raises:
            RefusedError: They are not what was hashed.
            ContentError: They cannot be read or kept.
            SpoolFullError: There is no room for them.
        """
        try:
            with self._one_copy:
                folder = self._opened()
                if not (folder / sha256).exists():
                    self._copy(folder, content, sha256)
        except OSError as error:
            raise ContentError(f"the spool: {error.filename or ''} {error.strerror}") from error
        self._add(Made(name, sha256, content.size, role, True, {} if uri is None else {"uri": uri}))

    def keep_tree(self, name: str, taken: Captured, reference: Mapping[str, object]) -> None:
        """Copy a directory, to be sent as a tree.

        Raises:
            ContentError: It changed meanwhile, or cannot be kept.
            SpoolFullError: There is no room for it.
        """
        from custody.spool.directories import OVERHEAD, copy_tree

        manifest = taken.manifest
        target: Path | None = None
        try:
            target = self._opened() / tree_folder(manifest.sha256)
            if not target.exists():
                self._take_room(manifest.size + OVERHEAD * len(manifest))
                copy_tree(taken, target)
        except OSError as error:
            self._drop(target)
            raise ContentError(f"the spool: {error.filename or ''} {error.strerror}") from error
        except ContentError:
            self._drop(target)
            raise
        more = {key: value for key, value in reference.items() if key not in ("name", "digest", "role")}
        self._add(Made(name, manifest.sha256, manifest.size, "output", True, more))

    def commit(self, ending: Mapping[str, object]) -> None:
        """Put the whole step into the spool; durable when this returns.

        Raises:
            ContentError: It cannot be written.
            SpoolFullError: There is no room for it.
        """
        id_ = str(self._begin["id"])
        entry = Entry(
            id=id_,
            record=new_ulid(),
            service=self._service,
            begin=self._begin,
            run=self._run,
            inputs=self._inputs,
            outputs=list(self._outputs.values()),
            ending=dict(ending),
            kept_at=clock.now(),
        )
        try:
            folder = self._opened()
            written = entry.written()
            self._take_room(len(written))
            write_file(folder / FILE, written)
            sync_folder(folder)
            move(folder, self._spool.entries / id_)
            self._folder = None
        except OSError as error:
            raise ContentError(f"the spool: {error.filename or ''} {error.strerror}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Drop what was not committed."""
        if self._folder is not None:
            remove(self._folder)
            self._folder = None
        self._held.close()

    def _drop(self, unfinished: Path | None) -> None:
        if unfinished is not None and unfinished.exists():
            remove(unfinished)

    def _add(self, made: Made) -> None:
        self._outputs[made.role, made.name] = made

    def _opened(self) -> Path:
        """Take the lock and make the folder to write in."""
        if self._folder is not None:
            return self._folder
        self._spool.open()
        self._held.enter_context(self._spool.alone("writing"))
        self._spool.sweep()
        self._room = self._spool.limit - self._spool.size()
        folder = self._spool.incoming / str(self._begin["id"])
        folder.mkdir(mode=0o700)
        self._folder = folder
        return folder

    def _take_room(self, size: int) -> None:
        disk = os.statvfs(self._spool.root)
        if size > self._room or size + _KEPT_FREE > disk.f_bavail * disk.f_frsize:
            raise SpoolFullError(
                "the spool is full, and nothing in it is dropped for something newer",
                hint="custody flush delivers what it holds; CUSTODY_SPOOL_SIZE is its size",
            )
        self._room -= size

    def _copy(self, folder: Path, content: Content, sha256: str) -> None:
        self._take_room(content.size)
        hasher = hashlib.sha256()
        size = 0
        target = folder / sha256
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with content.open() as source, os.fdopen(os.open(target, flags, 0o600), "wb") as stream:
                while chunk := source.read(_CHUNK):
                    hasher.update(chunk)
                    size += len(chunk)
                    if size > content.size:
                        break
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:  # whoever tries again must not take a part for the whole
            target.unlink(missing_ok=True)
            self._room += content.size
            raise
        if size != content.size or hasher.hexdigest() != sha256:
            target.unlink()
            self._room += content.size
            raise RefusedError(422, "the file changed while it was kept", slug="digest-mismatch")
