"""Labels follow from what lies in the store, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts import layout, receipts
from artifacts.digest import Digest, DigestSet
from artifacts.errors import AwaitingBytesError, CorruptedError, EvidenceError
from artifacts.layout import Key
from artifacts.limits import SMALL_BLOB_BYTES
from artifacts.receipts import Receipt
from artifacts.records import Product, Record
from artifacts.refs import ArtifactRef
from artifacts.steps import Outcome
from artifacts.storage.directory import DirectoryStore
from artifacts.trees import receipts as tree_receipts
from artifacts.trees.manifest import MEDIA_TYPE
from artifacts.trees.receipts import TreeReceipt
from artifacts.trees.states import TreeState
from provenance.published_keys import publish, published
from provenance.seen import labels
from provenance.signers.local import LocalSigner

AT = datetime(2026, 11, 22, tzinfo=UTC)
CONTENT = b"some bytes"
DIGEST = Digest.of(CONTENT)
COMMIT = Digest("gitCommit", "ab" * 20)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    made = DirectoryStore(tmp_path / "objects")
    yield made
    made.close()


def ref(digest: Digest = DIGEST, *, tree: bool = False) -> ArtifactRef:
    return ArtifactRef(DigestSet.only(digest), name="it", media_type=MEDIA_TYPE if tree else None)


def record(*, output: ArtifactRef | None = None, consumed: ArtifactRef | None = None) -> Record:
    return Record(
        project="default",
        run="01K" + "0" * 23,
        step="01K" + "1" * 23,
        name="build",
        principal="token:first",
        via="step",
        outcome=Outcome.SUCCEEDED,
        began_at=AT,
        finished_at=AT,
        inputs=() if consumed is None else (consumed,),
        outputs=() if output is None else (Product(output, received=True),),
    )


async def receipted(store: DirectoryStore, *, size: int = len(CONTENT), found: Digest = DIGEST) -> None:
    await receipts.write(store, Receipt("default", receipts.WORKER, DIGEST, size, found), at=AT)


async def nothing_due(project: str, digest: Digest) -> bool:
    """No worker has anything left to read back."""
    return False


async def all_due(project: str, digest: Digest) -> bool:
    """A worker is to read back everything."""
    return True


async def output_labels(store: DirectoryStore, output: ArtifactRef, **trees: TreeState) -> tuple[str, str]:
    known = dict.fromkeys([output.digest], next(iter(trees.values()))) if trees else {}
    seen = (await labels(store, record(output=output), trees=known, due=nothing_due)).outputs[0]
    return seen.integrity.value, seen.role.value


async def input_integrity(store: DirectoryStore, consumed: ArtifactRef) -> str:
    seen = await labels(store, record(consumed=consumed), due=nothing_due)
    return seen.inputs[0].integrity.value


async def test_small_bytes_are_hashed_here(store: DirectoryStore) -> None:
    assert await output_labels(store, ref()) == ("reported", "reported")
    await store.put(layout.blob("default", DIGEST), CONTENT)
    assert await output_labels(store, ref()) == ("verified", "observed")


async def test_small_bytes_that_are_others_are_refused(store: DirectoryStore) -> None:
    await store.put(layout.blob("default", DIGEST), b"other bytes")
    with pytest.raises(EvidenceError, match="do not hash"):
        await output_labels(store, ref())


async def test_large_bytes_wait_for_a_workers_receipt(store: DirectoryStore) -> None:
    content = bytes(SMALL_BLOB_BYTES + 1)
    digest = Digest.of(content)
    await store.put(layout.blob("default", digest), content)
    with pytest.raises(AwaitingBytesError):
        await output_labels(store, ref(digest))
    await receipts.write(store, Receipt("default", receipts.WORKER, digest, len(content), digest), at=AT)
    assert await output_labels(store, ref(digest)) == ("verified", "observed")


async def test_a_receipt_that_tells_of_damage_refuses(store: DirectoryStore) -> None:
    await receipted(store, found=Digest.of(b"damage"))
    with pytest.raises(EvidenceError, match="do not hash"):
        await output_labels(store, ref())


async def test_a_receipt_that_tells_of_damage_waits_while_a_worker_is_to_look_again(
    store: DirectoryStore,
) -> None:
    await receipted(store, found=Digest.of(b"damage"))
    for named in (record(output=ref()), record(consumed=ref())):
        with pytest.raises(AwaitingBytesError, match="look again"):
            await labels(store, named, due=all_due)


async def test_a_worker_that_ends_while_it_is_asked_about_has_the_last_word(store: DirectoryStore) -> None:
    await store.put(layout.blob("default", DIGEST), CONTENT)
    await receipted(store, found=Digest.of(b"damage"))

    async def just_ended(project: str, digest: Digest) -> bool:
        await receipted(store)
        return False

    seen = await labels(store, record(consumed=ref()), due=just_ended)
    assert seen.inputs[0].integrity.value == "verified"


async def test_a_receipt_without_its_bytes_is_worth_nothing(store: DirectoryStore) -> None:
    await receipted(store)
    assert await output_labels(store, ref()) == ("reported", "reported")
    assert await input_integrity(store, ref()) == "reported"


async def test_bytes_of_another_length_than_their_receipt_says_refuse(store: DirectoryStore) -> None:
    await store.put(layout.blob("default", DIGEST), CONTENT)
    await receipted(store, size=3)
    with pytest.raises(EvidenceError, match="as long as"):
        await output_labels(store, ref())


async def test_what_has_no_sha256_is_reported(store: DirectoryStore) -> None:
    assert await output_labels(store, ref(COMMIT)) == ("reported", "reported")
    assert await output_labels(store, ref(COMMIT, tree=True)) == ("reported", "reported")
    assert await input_integrity(store, ref(COMMIT)) == "reported"


async def test_an_input_with_bytes_and_receipt_is_verified(store: DirectoryStore) -> None:
    await store.put(layout.blob("default", DIGEST), CONTENT)
    await receipted(store)
    assert await input_integrity(store, ref()) == "verified"


async def test_a_tree_is_verified_by_its_own_receipt_and_never_observed(store: DirectoryStore) -> None:
    assert await output_labels(store, ref(tree=True)) == ("reported", "reported")
    await tree_receipts.write(store, TreeReceipt("default", DIGEST, DIGEST, 1, 1), at=AT)
    assert await output_labels(store, ref(tree=True)) == ("verified", "reported")
    assert await input_integrity(store, ref(tree=True)) == "verified"


async def test_a_tree_waits_while_it_is_checked_and_refuses_when_it_was_refused(
    store: DirectoryStore,
) -> None:
    with pytest.raises(AwaitingBytesError):
        await output_labels(store, ref(tree=True), state=TreeState.CHECKING)
    with pytest.raises(EvidenceError):
        await output_labels(store, ref(tree=True), state=TreeState.REFUSED)
    assert (await output_labels(store, ref(tree=True), state=TreeState.INCOMPLETE))[0] == "reported"


async def test_a_published_key_that_was_tampered_with_is_not_shown(
    store: DirectoryStore, tmp_path: Path
) -> None:
    signer = LocalSigner.open_or_create(tmp_path / "keys" / "one.pem")
    await publish(store, signer.public_key, builder_id="http://custody.test/builders/local/v1", at=AT)
    [key] = await published(store)
    assert key.keyid == signer.public_key.keyid
    [listed] = [one async for one in store.list("control/keys/")]
    good = await store.read(listed.key)
    other = LocalSigner.open_or_create(tmp_path / "other" / "two.pem").public_key.keyid
    for content in (b"{}", b"no json", good.replace(key.keyid.encode(), other.encode())):
        await store.delete(listed.key)
        await store.put(Key(str(listed.key)), content)
        with pytest.raises(CorruptedError):
            await published(store)
