"""Trees to directories, as the commands and the Python API ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from custody.nodestore.store import node_store
from custody.progress import bar
from custody.trees.manifest import Manifest
from custody.trees.restore import Options, restore
from custody.trees.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.transport import Transport
    from custody.trees.remote import TreeService


def source(transport: Transport, environ: Mapping[str, str]) -> Source:
    """Return where trees come from: this machine's store, then the service. The caller closes it.

    Raises:
        MisuseError: A variable that configures the store makes no sense.
    """
    return late_source(lambda: transport, environ)


def late_source(transport: Callable[[], Transport], environ: Mapping[str, str]) -> Source:
    """Return the same, with a service that is looked up only where this machine lacks something.

    Raises:
        MisuseError: A variable that configures the store makes no sense.
    """

    def remote() -> TreeService:
        from custody.trees.remote import TreeService

        return TreeService(transport().twin())

    return Source(remote, node_store(environ))


def fetch(found: Source, sha256: str, target: str, options: Options | None = None) -> Manifest:
    """Restore the tree `sha256` as the directory `target`.

    Raises:
        ContentError: The target exists, or the tree cannot be written there.
        NothingFoundError: The service does not have it.
        ServiceError: The service does not answer.
    """
    manifest = found.manifest(sha256)
    with bar("restoring") as advance:
        restore(found, manifest, target, options or Options(), advance=advance)
    return manifest
