"""What the signer sees of the bytes a record names: the only ground for a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from artifacts import layout, receipts
from artifacts.digest import Digest
from artifacts.errors import AwaitingBytesError, EvidenceError
from artifacts.limits import SMALL_BLOB_BYTES
from artifacts.receipts import Due, Receipt
from artifacts.records import Product, Record
from artifacts.refs import ArtifactRef, Evidence
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import receipts as tree_receipts
from artifacts.trees.manifest import MEDIA_TYPE
from artifacts.trees.states import TreeState
from provenance.slsa import REPORTED, ClaimLabels, RecordLabels

_STORED = ClaimLabels(integrity=Evidence.VERIFIED)
_RECEIVED = ClaimLabels(integrity=Evidence.VERIFIED, role=Evidence.OBSERVED)


TreeStates = Mapping[Digest, TreeState]


def trees_of(record: Record) -> list[Digest]:
    """The trees that `record` says its step made."""
    products = (*record.outputs, *record.byproducts)
    return [product.ref.digest for product in products if _is_tree(product.ref)]


async def labels(
    store: ObjectStore, record: Record, *, due: Due, trees: TreeStates | None = None
) -> RecordLabels:
    """Label every claim of `record` by what this process can see for itself.

    `verified` integrity needs a worker's receipt, or bytes small enough to be hashed here.
    `observed` needs that too, and the data plane's word that the step's token sent them.
    All else is `reported`, whatever the record says.

    A tree is `verified` by nothing but a worker's receipt for the tree. `trees` has what the
    index says of the trees that the step made; it decides whether to wait or to refuse, and
    never whether a label is given. So does `due`, of bytes that a worker found damaged.

    Raises:
        EvidenceError: stored bytes do not hash to their digest, or a tree was refused.
        AwaitingBytesError: a worker's receipt is due.
    """
    return RecordLabels(
        inputs=await _consumed(store, record.project, record.inputs, due),
        outputs=await _produced(store, record, record.outputs, trees or {}, due),
        byproducts=await _produced(store, record, record.byproducts, trees or {}, due),
    )


async def _consumed(
    store: ObjectStore, project: str, refs: Sequence[ArtifactRef], due: Due
) -> tuple[ClaimLabels, ...]:
    seen = []
    for ref in refs:
        if not _only_sha256(ref):
            confirmed = False
        elif _is_tree(ref):
            confirmed = await _tree_receipted(store, project, ref.digest)
        else:
            confirmed = await _receipted(store, project, ref.digest, due)
        seen.append(_STORED if confirmed else REPORTED)
    return tuple(seen)


async def _produced(
    store: ObjectStore, record: Record, products: Sequence[Product], trees: TreeStates, due: Due
) -> tuple[ClaimLabels, ...]:
    seen = []
    for product in products:
        digest = product.ref.digest
        if _is_tree(product.ref):
            confirmed = await _tree_confirmed(store, record.project, digest, trees.get(digest))
        else:
            confirmed = await _confirmed(store, record.project, digest, due)
        stored = confirmed and _only_sha256(product.ref)
        # Of a tree the data plane may have received the manifest alone, so nobody observed its making.
        received = stored and product.received and record.via == "step" and not _is_tree(product.ref)
        seen.append(_RECEIVED if received else _STORED if stored else REPORTED)
    return tuple(seen)


def _only_sha256(ref: ArtifactRef) -> bool:
    # Nobody here hashes by another algorithm, and a label speaks for the whole digest set.
    return [digest.algorithm for digest in ref.digests] == ["sha256"]


def _is_tree(ref: ArtifactRef) -> bool:
    return ref.media_type == MEDIA_TYPE


async def _tree_receipted(store: ObjectStore, project: str, digest: Digest) -> bool:
    if digest.algorithm != "sha256":
        return False
    return await tree_receipts.read(store, project, digest) is not None


async def _tree_confirmed(store: ObjectStore, project: str, digest: Digest, state: TreeState | None) -> bool:
    return await _tree_receipted(store, project, digest) or _without_receipt(digest, state)


def _without_receipt(digest: Digest, state: TreeState | None) -> bool:
    if state is TreeState.REFUSED:
        raise EvidenceError("what was sent for a tree does not match its digest", digest=str(digest))
    if state is TreeState.CHECKING:
        raise AwaitingBytesError("awaiting bytes: a worker still has to check a tree", digest=str(digest))
    return False


async def _receipted(store: ObjectStore, project: str, digest: Digest, due: Due) -> bool:
    if digest.algorithm != "sha256":
        return False
    receipt = await receipts.workers_word(store, project, digest, due=due)
    # A receipt is a small object like others: without the bytes it vouches for nothing.
    return receipt is not None and _vouches(receipt, await store.size(layout.blob(project, digest)))


def _vouches(receipt: Receipt, size: int | None) -> bool:
    """Whether bytes of that `size` lie where the receipt says; None where there are none."""
    if not receipt.holds:
        raise EvidenceError("stored bytes do not hash to their digest", digest=str(receipt.digest))
    if size is not None and size != receipt.size:
        raise EvidenceError("stored bytes are not as long as their receipt says", digest=str(receipt.digest))
    return size is not None


async def _confirmed(store: ObjectStore, project: str, digest: Digest, due: Due) -> bool:
    if await _receipted(store, project, digest, due):
        return True
    if digest.algorithm != "sha256":
        return False
    key = layout.blob(project, digest)
    size = await store.size(key)
    if size is None:
        return False
    if size > SMALL_BLOB_BYTES:
        raise AwaitingBytesError("a worker still has to read back what was uploaded", digest=str(digest))
    if Digest.of(await store.read(key)) != digest:
        raise EvidenceError("stored bytes do not hash to their digest", digest=str(digest))
    return True
