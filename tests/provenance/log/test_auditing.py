"""An audit finds every edit, removal, fork and rollback, and says where it is."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from provenance.bundle import Bundle
from provenance.log import auditing
from provenance.log.checkpoint import Checkpoint
from provenance.log.leaf import Leaf
from provenance.log.tiles import encode_entries
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.provenance.log.memory import SIGNER, MemoryLog
from tests.provenance.log.trees import numbered, tree_hash

FLIPS = 10_000


@pytest.mark.parametrize("sizes", [(1,), (5,), (256,), (257,), (3, 300), (700, 5000)])
async def test_a_log_that_nobody_touched_is_clean(sizes: tuple[int, ...]) -> None:
    log = MemoryLog(numbered(sizes[-1]), *sizes)
    audit = await log.audit(kept=log.kept)
    assert audit.clean, audit.findings
    assert audit.leaves == sizes[-1]
    assert audit.checkpoint == log.kept[-1]


async def test_a_log_that_was_never_published_is_clean_and_one_that_lost_its_checkpoint_is_not() -> None:
    log = MemoryLog([], 0)
    del log.store.objects["log/checkpoint"]
    assert (await log.audit()).clean
    assert not (await log.audit(kept=[Checkpoint("custody.test", 1, bytes(32))])).clean
    log = MemoryLog(numbered(3))
    del log.store.objects["log/checkpoint"]
    assert (await log.audit()).findings[0].place == "checkpoint"


@pytest.mark.slow
async def test_ten_thousand_flips_of_a_single_bit_are_all_found() -> None:
    log = MemoryLog(numbered(300), 3, 260, 300)
    dice = random.Random(20261122)
    names = sorted(log.store.objects)
    sizes = [len(log.store.objects[name]) for name in names] + [32 * len(log.rows)]
    for _ in range(FLIPS):
        # By size, so that every bit is as likely as any other; rows are the last.
        which = dice.choices(range(len(sizes)), sizes)[0]
        bit = dice.randrange(8 * sizes[which])
        if which == len(names):
            number, byte = divmod(bit // 8, 32)
            honest = log.rows[number]
            log.rows[number] = (number, _flipped(honest[1], 8 * byte + bit % 8))
            audit = await log.audit()
            log.rows[number] = honest
        else:
            content = log.store.objects[names[which]]
            log.store.objects[names[which]] = _flipped(content, bit)
            audit = await log.audit()
            log.store.objects[names[which]] = content
        assert not audit.clean, (which, bit)
    assert (await log.audit()).clean


def _flipped(content: bytes, bit: int) -> bytes:
    bent = bytearray(content)
    bent[bit // 8] ^= 1 << bit % 8
    return bytes(bent)


@pytest.mark.parametrize(
    ("key", "place"),
    [
        *(
            ("log/tile/0/000", "leaf 7"),
            ("log/tile/entries/000", "leaf 7"),
            ("log/tile/1/000.p/1", "tile 1/000.p/1"),
        ),
        ("log/tile/0/001.p/44", "leaf 263"),
    ],
)
async def test_what_was_changed_is_named(key: str, place: str) -> None:
    log = MemoryLog(numbered(300))
    content = log.store.objects[key]
    if "entries" in key:
        log.store.objects[key] = encode_entries([*numbered(7), b"another", *numbered(256)[8:]])
    else:
        at = 32 * int(place.split()[1]) % 8192 if "leaf" in place else 0
        log.store.objects[key] = content[:at] + bytes(32) + content[at + 32 :]
    places = [finding.place for finding in (await log.audit()).findings]
    assert place in places
    if "entries" in key:
        assert places == ["row 7", "leaf 7", "tile 1/000.p/1", "checkpoint"]


@pytest.mark.parametrize("content", [None, b"", b"short"])
async def test_a_tile_that_is_gone_or_cut_off_is_named(content: bytes | None) -> None:
    for key in ("log/tile/0/000", "log/tile/entries/001.p/44", "log/tile/1/000.p/1", "log/tile/0/000.p/9"):
        log = MemoryLog(numbered(300), 9, 300)
        if content is None:
            del log.store.objects[key]
        else:
            log.store.objects[key] = content
        # A part that a full tile has taken the place of may go.
        may_go = content is None and ".p/9" in key
        places = [] if may_go else [f"tile {key.removeprefix('log/tile/')}"]
        assert [finding.place for finding in (await log.audit()).findings] == places


async def test_a_part_of_the_last_tile_that_an_older_checkpoint_needs_is_looked_at() -> None:
    log = MemoryLog(numbered(300), 260, 280, 300)
    log.store.objects["log/tile/0/001.p/4"] = bytes(128)
    log.store.objects["log/tile/entries/001.p/24"] = b""
    log.store.objects["log/tile/not-ours"] = b""
    places = [finding.place for finding in (await log.audit()).findings]
    assert places == ["tile entries/001.p/24", "tile 0/001.p/4"]


async def test_rows_that_are_gone_others_or_out_of_order_are_named() -> None:
    log = MemoryLog(numbered(9))
    honest = list(log.rows)
    log.rows = honest[:4] + honest[5:]
    assert [finding.place for finding in (await log.audit()).findings] == ["row 4"]
    log.rows = honest[:8]
    assert [finding.place for finding in (await log.audit()).findings] == ["row 8"]
    log.rows = []
    assert (await log.audit()).found == 9
    log.rows = [*honest[:3], (4, honest[3][1]), (3, honest[4][1]), *honest[5:]]
    assert [finding.place for finding in (await log.audit()).findings] == ["row 3", "row 4"]
    log.rows = [*honest, (9, bytes(32))]
    assert (await log.audit()).clean


async def test_a_fork_and_a_rollback_are_found_by_whoever_kept_a_checkpoint() -> None:
    log = MemoryLog(numbered(300), 5, 300)
    forked = Checkpoint("custody.test", 5, tree_hash([*numbered(4), b"another"]))
    later = Checkpoint("custody.test", 301, tree_hash(numbered(301)))
    reasons = [finding.reason for finding in (await log.audit(kept=[later, forked, *log.kept])).findings]
    assert reasons == [
        "the log had 301 leaves and has 300",
        "the log does not begin with what a checkpoint of 5 leaves told of",
    ]


async def test_a_signer_that_rewrote_everything_is_found_by_a_kept_checkpoint_alone() -> None:
    honest = MemoryLog(numbered(20), 10, 20)
    rewritten = MemoryLog([*numbered(9), b"another", *numbered(20)[10:]])
    assert (await rewritten.audit()).clean
    assert not (await rewritten.audit(kept=honest.kept[:1])).clean


async def test_signatures_in_leaves_are_checked_where_that_is_asked_for() -> None:
    signer = LocalSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
    leaf = Leaf.of(Bundle.of(sealed(PAYLOAD_TYPE, b"{}", signer)), signer.public_key)
    log = MemoryLog([leaf.to_bytes(), b"no leaf", Leaf(bytes(32), leaf.signature, leaf.spki).to_bytes()])
    assert (await log.audit()).clean
    audit = await log.audit(signatures=True)
    assert [finding.place for finding in audit.findings] == ["leaf 1", "leaf 2"]


async def test_there_is_an_end_to_what_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "MAX_FINDINGS", 2)
    log = MemoryLog(numbered(9))
    log.rows = []
    audit = await log.audit()
    assert (len(audit.findings), audit.found) == (2, 9)


async def test_the_checkpoint_of_another_log_is_no_checkpoint_of_this_one() -> None:
    log = MemoryLog(numbered(3))
    log.store.objects["log/checkpoint"] = Checkpoint("another", 3, bytes(32)).signed(SIGNER)
    assert "another log" in (await log.audit()).findings[0].reason
