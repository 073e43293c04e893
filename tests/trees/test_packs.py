"""Frames and packs: bounded, whole, and exactly what was claimed."""

from __future__ import annotations

import resource
import struct
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError, InvalidInputError, LimitExceededError
from artifacts.limits import KIB, MAX_FRAME_BYTES, MIB
from artifacts.trees import compression, layout
from artifacts.trees.claims import PackClaim
from artifacts.trees.compression import FrameReader
from artifacts.trees.layout import Frame, Frames
from artifacts.trees.packing import Packer
from artifacts.trees.packs import located
from tests.trees.shapes import Pack, raw

CONTENTS = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=8, unique=True)


def claim_of(pack: Pack) -> PackClaim:
    frames = [(one["offset"], one["length"], [(d, s) for d, s in one["files"]]) for one in pack.frames]
    return PackClaim.of(Digest.parse(pack.digest), frames)


def bomb(size: int, *, declared: int | None = None) -> bytes:
    """A frame of zeros that unfolds to `size` bytes, and may state another size."""
    blocks, left = [], size
    while left:
        some = min(left, 128 * KIB)
        left -= some
        # An RLE block: three bytes of header (last, type 1, size), and the byte to repeat.
        blocks.append(struct.pack("<I", (left == 0) | 1 << 1 | some << 3)[:3] + b"\0")
    window = bytes([(17 - 10) << 3])
    return b"\x28\xb5\x2f\xfd\xc0" + window + struct.pack("<Q", declared or size) + b"".join(blocks)


def unfold(frame: bytes, *, limit: int = 1 << 30) -> bytes:
    reader = FrameReader(limit=limit, length=len(frame))
    content = b"".join(reader.feed(frame))
    reader.finish()
    return content


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_a_long_frame_unfolds_however_it_is_cut(content: bytes, cut: int) -> None:
    frame = compression.encode(content)
    reader = FrameReader(limit=1 << 20, length=len(frame))
    pieces = [b"".join(reader.feed(frame[at : at + cut])) for at in range(0, len(frame), cut)]
    reader.finish()
    assert b"".join(pieces) == content
    assert compression.decode(frame, size=len(content)) == content


GOOD = compression.encode(b"content" * 100)
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
DICTIONARY = zstandard.ZstdCompressionDict(b"content" * 50, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
SIZELESS = zstandard.ZstdCompressor(write_content_size=False).compress(b"content" * 100)
LYING = bomb(700, declared=70_000)


def wide() -> bytes:
    """A frame that needs a window of 128 MiB."""
    return b"\x28\xb5\x2f\xfd\x80" + bytes([(27 - 10) << 3]) + struct.pack("<I", 700) + b"\x01\0\0"


EVIL_FRAMES = {
    "nothing": b"",
    "no magic": b"\0" + GOOD,
    "half a header": GOOD[:5],
    "half a frame": GOOD[:-1],
    "a byte after it": GOOD + b"\0",
    "two frames": GOOD + GOOD,
    "a skippable frame": SKIPPABLE,
    "a skippable frame first": SKIPPABLE + GOOD,
    "a skippable frame last": GOOD + SKIPPABLE,
    "no size": SIZELESS,
    "a size that lies up": LYING,
    "a size that lies down": bomb(7_000, declared=700),
    "a window too wide": wide(),
    "a dictionary": b"\x28\xb5\x2f\xfd\x21\x07" + GOOD[5:],
    "gzip": b"\x1f\x8b\x08" + GOOD,
}


@pytest.mark.parametrize("name", EVIL_FRAMES)
def test_a_frame_that_is_not_one_honest_frame_is_refused(name: str) -> None:
    frame = EVIL_FRAMES[name]
    with pytest.raises((InvalidInputError, LimitExceededError)):
        compression.decode(frame, size=700)
    with pytest.raises((InvalidInputError, LimitExceededError)):
        unfold(frame)


def test_a_frame_compressed_with_a_dictionary_is_refused() -> None:
    trained = zstandard.train_dictionary(2000, [b"%d content %d" % (n, n * n) for n in range(2000)])
    frame = zstandard.ZstdCompressor(dict_data=trained).compress(b"7 content 49")
    with pytest.raises(InvalidInputError, match="dictionary"):
        compression.decode(frame, size=12)


def peak() -> int:
    """The most memory this process has ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("declared", [None, 300 * MIB, 700])
def test_a_bomb_is_refused_before_it_unfolds(declared: int | None) -> None:
    frame = bomb(4096 * MIB, declared=declared)
    assert len(frame) < 200 * KIB

    def met(open_: Callable[[], object]) -> None:
        with pytest.raises((InvalidInputError, LimitExceededError)):
            open_()

    before = peak()
    met(lambda: unfold_slowly(frame))
    met(lambda: compression.decode(frame, size=declared or 700))
    assert peak() - before < 64 * MIB


def unfold_slowly(frame: bytes) -> None:
    reader = FrameReader(limit=512 * MIB, length=len(frame))
    for _ in reader.feed(frame):
        pass
    reader.finish()


@given(st.lists(CONTENTS, min_size=1, max_size=4))
def test_every_file_of_an_honest_pack_is_located(groups: list[list[bytes]]) -> None:
    seen: set[bytes] = set()
    frames = [[one for one in group if one not in seen and not seen.add(one)] for group in groups]  # type: ignore[func-returns-value]  # add returns None on purpose
    pack = Pack.of(*[frame for frame in frames if frame])
    found = located(pack.content, claim_of(pack))
    assert {place.digest for place in found} == {raw(one) for one in seen}
    for place in found:
        frame = pack.content[place.frame_offset : place.frame_offset + place.frame_length]
        content = compression.decode(frame, size=place.frame_size)
        assert raw(content[place.start : place.start + place.size]) == place.digest


def test_only_texts_of_some_length_without_nul_can_be_targets_of_links() -> None:
    pack = Pack.of([b"target", b"tar\0get", b"t" * 4095, b"t" * 4096])
    assert [place.linkable for place in located(pack.content, claim_of(pack))] == [True, False, True, False]


def test_a_packer_makes_packs_that_hold() -> None:
    packer = Packer()
    contents = [b"%d" % number * 3000 for number in range(300)]
    for content in [*contents, contents[0]]:
        packer.add(content)
    closed = packer.close()
    assert closed is not None
    pack, claim = closed
    assert {place.digest for place in located(pack, claim)} == {raw(one) for one in contents}
    assert len(claim.frames) > 1
    assert packer.close() is None


def test_a_claim_survives_the_index() -> None:
    claim = claim_of(Pack.of([b"a", b"b"], [b"c"]))
    assert PackClaim.from_bytes(claim.to_bytes()) == claim


@given(st.binary(max_size=60) | st.just(b"[]") | st.just(b'["00",[[0,1,[["x",1]]]]]'))
def test_what_is_no_claim_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        PackClaim.from_bytes(content)


def test_lies_that_need_the_bytes_are_met_with_the_bytes() -> None:
    pack = Pack.of([b"one", b"two"], [b"three"])
    for tamper in (
        lambda files: files[0].__setitem__(0, raw(b"other").hex()),
        lambda files: files.reverse(),
        lambda files: (files[0].__setitem__(1, 2), files[1].__setitem__(1, 4)),
        lambda files: files.pop(),
        lambda files: files.append([raw(b"more").hex(), 4]),
    ):
        lying = Pack.of([b"one", b"two"], [b"three"])
        tamper(lying.frames[0]["files"])
        with pytest.raises(EvidenceError):
            located(lying.content, claim_of(lying))
    with pytest.raises(EvidenceError):
        located(pack.content[:-1], claim_of(pack))
    with pytest.raises(EvidenceError):
        located(b"x" + pack.content[1:], claim_of(pack))


def test_a_layout_lists_packs_frames_and_entries_in_order() -> None:
    frames = Frames()
    one, two, three = Frame(b"b" * 32, 0, 5, 9), Frame(b"a" * 32, 7, 5, 9), Frame(b"a" * 32, 0, 7, 8)
    frames.put(one, start=4, entry=0)
    frames.put(two, start=0, entry=3)
    frames.put(one, start=0, entry=2)
    frames.put(three, start=MAX_FRAME_BYTES - 1, entry=999_999)
    text = b"".join(layout.write(Digest.of(b"m"), frames, {b"a" * 32: 12, b"b" * 32: 5})).decode()
    assert text.splitlines() == [
        f"custody-layout/v1 {Digest.of(b'm').hex}",
        f"p {'61' * 32} 12",
        f"p {'62' * 32} 5",
        "r 0 0 7 8",
        f"999999 {MAX_FRAME_BYTES - 1}",
        "r 0 7 5 9",
        "3 0",
        "r 1 0 5 9",
        "2 0",
        "0 4",
    ]


def test_every_refusal_is_one_of_ours() -> None:
    for frame in EVIL_FRAMES.values():
        with pytest.raises(CustodyError):
            compression.decode(frame, size=700)
