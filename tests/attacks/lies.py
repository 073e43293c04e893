"""Lies about a pack, told by changing its index; each one by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.service import sha256

Index = dict[str, Any]


def overlap(index: Index) -> None:
    index["frames"][1]["offset"] -= 1


def gap(index: Index) -> None:
    index["frames"][1]["offset"] += 1


def swap(index: Index) -> None:
    index["frames"].reverse()


def beyond(index: Index) -> None:
    index["frames"][1]["length"] += 1


def short(index: Index) -> None:
    index["frames"][1]["length"] -= 1


def first_not_at_zero(index: Index) -> None:
    index["frames"][0]["offset"] = 1


def below_zero(index: Index) -> None:
    index["frames"][0]["offset"] = -1


def no_length(index: Index) -> None:
    index["frames"][0]["length"] = 0


def twice_in_a_frame(index: Index) -> None:
    index["frames"][0]["files"].append(index["frames"][0]["files"][0])


def twice_in_a_pack(index: Index) -> None:
    index["frames"][1]["files"].append(index["frames"][0]["files"][0])


def empty_file(index: Index) -> None:
    index["frames"][0]["files"].append([sha256(b""), 0])


def size_below_zero(index: Index) -> None:
    index["frames"][0]["files"].append([sha256(b"x"), -1])


def large_file(index: Index) -> None:
    index["frames"][0]["files"][0][1] = (1 << 20) + 1


def large_frame(index: Index) -> None:
    index["frames"][0]["files"] += [[sha256(b"%d" % n), 1 << 20] for n in range(2)]


def no_files(index: Index) -> None:
    index["frames"][0]["files"].clear()


def no_frames(index: Index) -> None:
    index["frames"].clear()


def upper_hex(index: Index) -> None:
    index["frames"][0]["files"][0][0] = index["frames"][0]["files"][0][0].upper()


def huge(index: Index) -> None:
    index["frames"][1]["length"] = 1 << 40


def text_for_number(index: Index) -> None:
    index["frames"][0]["files"][0][1] = "8"


def truth_for_number(index: Index) -> None:
    index["frames"][0]["files"][0][1] = True


def three_members(index: Index) -> None:
    index["frames"][0]["files"][0].append(0)


def unknown_member(index: Index) -> None:
    index["frames"][0]["dictionary"] = 1


PLAINLY_WRONG: list[Callable[[Index], None]] = [
    overlap, gap, swap, beyond, short, first_not_at_zero, below_zero, no_length,
    twice_in_a_frame, twice_in_a_pack, empty_file, size_below_zero, large_file, large_frame,
    no_files, no_frames, upper_hex, huge, text_for_number, truth_for_number, three_members,
    unknown_member,
]  # fmt: skip


def other_file(index: Index) -> None:
    index["frames"][1]["files"][-1][0] = sha256(b"not in it")


def exchanged(index: Index) -> None:
    files = index["frames"][0]["files"]
    files[0], files[1] = files[1], files[0]


def shifted(index: Index) -> None:
    index["frames"][0]["files"][0][1] += 1
    index["frames"][0]["files"][1][1] -= 1


def left_out(index: Index) -> None:
    index["frames"][0]["files"].pop()


def added(index: Index) -> None:
    index["frames"][0]["files"].append([sha256(b"more"), 4])


def cut_elsewhere(index: Index) -> None:
    index["frames"][0]["length"] -= 1
    index["frames"][1]["offset"] -= 1
    index["frames"][1]["length"] += 1


def frames_joined(index: Index) -> None:
    first, second = index["frames"]
    index["frames"] = [
        {"offset": 0, "length": first["length"] + second["length"], "files": first["files"] + second["files"]}
    ]


LYING: list[Callable[[Index], None]] = [
    other_file,
    exchanged,
    shifted,
    left_out,
    added,
    cut_elsewhere,
    frames_joined,
]
