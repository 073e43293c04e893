"""Names of outputs: a path below the working directory, whatever bytes it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from custody.errors import MisuseError
from custody.output_names import output_name, printable_name


def test_a_file_is_named_by_its_path_below_the_directory(tmp_path: Path) -> None:
    assert output_name(tmp_path / "dist" / "a.whl", root=tmp_path) == "dist/a.whl"
    assert output_name("./dist//a.whl", root=tmp_path) == "dist/a.whl"


@pytest.mark.parametrize("path", ["../x", "dist/../../x", "/etc/passwd"])
def test_a_file_outside_has_no_name(tmp_path: Path, path: str) -> None:
    with pytest.raises(MisuseError):
        output_name(path, root=tmp_path)


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw and b"/" not in raw))
def test_every_name_of_a_file_becomes_printable(raw: bytes) -> None:
    name = printable_name(os.fsdecode(raw))
    name.encode()
    assert "\\" not in name
    assert not any(ord(char) < 0x20 for char in name)


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_two_names_stay_apart(one: bytes, other: bytes) -> None:
    assume(one != other)
    first, second = os.fsdecode(one), os.fsdecode(other)
    assert printable_name(first) != printable_name(second)


def test_an_ordinary_name_is_left_alone() -> None:
    assert printable_name("50% größer, 5%ab.txt") == "50% größer, 5%ab.txt"


def test_a_name_that_reads_like_an_encoded_one_is_encoded() -> None:
    assert printable_name("a\nb") == "a%0Ab"
    assert printable_name("a%0Ab") == "a%250Ab"
    assert printable_name("a%250Ab") == "a%25250Ab"


_LIKE_ENCODED = st.text("%0A25\n\\é", min_size=1)


@given(_LIKE_ENCODED, _LIKE_ENCODED)
def test_names_full_of_percent_signs_stay_apart(one: str, other: str) -> None:
    assert (printable_name(one) == printable_name(other)) == (one == other)
