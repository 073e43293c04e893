"""Waiting for uploads that are still being checked, and refusing what turned out wrong.

Rows decide here only whether to wait or to refuse, never whether a label is given: an
index that lies can hold a statement up, and cannot make one better than its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import AwaitingBytesError, EvidenceError
from artifacts.queries.steps import StepRow
from artifacts.queries.uploads import UploadRow, UploadState
from artifacts.records import Record
from artifacts.steps import step_sender
from artifacts.storage.protocol import ObjectStore


def made_by(record: Record) -> list[Digest]:
    """The sha256 digests of what `record` says its step made."""
    products = (*record.outputs, *record.byproducts)
    return [product.ref.digest for product in products if product.ref.digest.algorithm == "sha256"]


async def hold_for(store: ObjectStore, sent: Sequence[UploadRow], step: StepRow) -> None:
    """Let a step pass unless an upload of something it made is still being checked, or was refused.

    A refused upload counts if whoever began the step began it since, or the step's own token
    did, and the right bytes have not come by another way.

    Raises:
        AwaitingBytesError: a worker still has to check an upload.
        EvidenceError: an upload was refused.
    """
    for upload in sent:
        if upload.state is UploadState.CHECKING:
            digest = str(upload.digest)
            raise AwaitingBytesError("awaiting bytes: a worker still has to check an upload", digest=digest)
    senders = (step.principal, step_sender(step.principal, step.id))
    for upload in sent:
        own = upload.principal in senders and upload.began_at >= step.began_at
        if own and upload.state is UploadState.REFUSED and not await _is_here(store, upload):
            raise EvidenceError("what was uploaded does not match its digest", digest=str(upload.digest))


async def _is_here(store: ObjectStore, upload: UploadRow) -> bool:
    return await store.size(layout.blob(upload.project, upload.digest)) is not None
