"""Digests, references, ids, keys and times are valid once built."""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts import layout
from artifacts.clock import from_milliseconds, to_milliseconds, written
from artifacts.digest import HEX_LENGTHS, Digest, DigestSet
from artifacts.errors import CustodyError, InvalidDigestError, InvalidInputError, LimitExceededError
from artifacts.identifiers import checked_ulid, new_ulid
from artifacts.layout import Key
from artifacts.queries.addresses import address
from artifacts.refs import ArtifactRef, checked_name, checked_output_name, checked_scalars, checked_uri
from artifacts.steps import checked_project

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.binary())
def test_the_written_form_of_a_digest_reads_back(content: bytes) -> None:
    digest = Digest.of(content)
    assert Digest.parse(str(digest)) == digest
    assert Digest.sha256(digest.raw) == digest
    assert digest.hex == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "sha256:abc", "SHA256:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "g" * 64,
     "sha256:" + "a" * 63, "sha256:" + "a" * 65, "md5:" + "a" * 32, "sha1:" + "a" * 40, " sha256:" + "a" * 64,
     "sha256:" + "a" * 64 + "\n", "gitCommit:" + "a" * 41, "sha256:" + "\u0660" * 64],
)  # fmt: skip
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidDigestError):
        Digest.parse(text)


@given(st.text())
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    try:
        assert str(Digest.parse(text)) == text
    except InvalidDigestError:
        return


@given(st.dictionaries(st.sampled_from(["sha256", "sha3_256", "sha512_256"]), HEX, min_size=1))
def test_a_digest_set_is_the_same_in_any_order_and_led_by_its_identity(given_set: dict[str, str]) -> None:
    forwards = DigestSet.parse(given_set)
    assert forwards == DigestSet.parse(dict(reversed(given_set.items())))
    assert forwards.to_wire() == given_set
    assert forwards.identity.algorithm == min(given_set, key=list(HEX_LENGTHS).index)


def test_an_empty_digest_set_is_refused() -> None:
    with pytest.raises(InvalidDigestError):
        DigestSet.parse({})


def test_no_blob_can_stand_where_a_git_commit_stands() -> None:
    commit = Digest("gitCommit", "ab" * 20)
    assert len(address(commit)) == 32
    preimages = [str(commit).encode(), commit.raw, hashlib.sha512(str(commit).encode()).digest()]
    assert all(address(Digest.of(preimage)) != address(commit) for preimage in preimages)


@pytest.mark.parametrize(
    "uri",
    ["", "dist/app", "/etc/passwd", "http://", "http://a b", "http://a\nb", "javascript", "x:\x00", "git+https://h/\u202ex",
     "1http://x", "http://x/<script>", 'http://x/"', "\thttp://x"],
)  # fmt: skip
def test_what_is_no_absolute_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_uri(uri)


@pytest.mark.parametrize(
    "uri", ["pkg:pypi/flask@3.1.0", "git+https://h/o/r@refs/heads/main#sub/path", "s3://b/k", "urn:x:1"]
)
def test_uris_of_producers_are_taken_as_they_are(uri: str) -> None:
    assert checked_uri(uri) == uri


@pytest.mark.parametrize(
    "name",
    ["/a", "a/", "a//b", "..", "a/../b", ".", "a/./b", "a\\b", "", "a\x00b", "a\nb", "a\u202eb", "\x1b[2J"],
)
def test_names_with_tricks_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_output_name(name)


def test_names_and_uris_that_are_too_long_are_refused() -> None:
    with pytest.raises(LimitExceededError):
        checked_name("x" * 1025, "it")
    with pytest.raises(LimitExceededError):
        checked_uri("x:" + "y" * 4096)


@given(st.text(max_size=30))
def test_any_output_name_that_is_taken_stays_below_its_folder(name: str) -> None:
    try:
        taken = checked_output_name(name)
    except CustodyError:
        return
    assert not taken.startswith("/")
    assert ".." not in taken.split("/")
    assert taken == name


@pytest.mark.parametrize("given_scalars", [{"a": 2**53 + 1}, {"": "x"}, {"a\n": 1}])
def test_scalars_that_readers_disagree_about_are_refused(given_scalars: dict[str, str | int]) -> None:
    with pytest.raises(InvalidInputError):
        checked_scalars(given_scalars, "parameters")


def test_too_many_or_too_long_scalars_are_refused() -> None:
    for given_scalars in ({f"p{n}": 1 for n in range(1001)}, {"p": "x" * 65_537}):
        with pytest.raises(LimitExceededError):
            checked_scalars(given_scalars, "parameters")


@pytest.mark.parametrize("name", ["custody_role", "a.b", "$x", "1a", ""])
def test_annotations_that_are_reserved_or_odd_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        ArtifactRef(DigestSet.only(Digest.of(b"")), annotations={name: "x"})


@pytest.mark.parametrize("media_type", ["", "text", "text/plain\n", "a/b;" + "x" * 300])
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(InvalidInputError):
        ArtifactRef(DigestSet.only(Digest.of(b"")), media_type=media_type)


def test_ulids_sort_by_their_time() -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    assert new_ulid(early) < new_ulid(late)
    assert checked_ulid(new_ulid(early))


@pytest.mark.parametrize(
    "text", ["", "8" + "0" * 25, "0" * 25, "0" * 27, "I" * 26, "01h5" + "0" * 22, "0" * 26 + "\n"]
)
def test_what_is_no_ulid_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_ulid(text)


@given(st.text(string.printable + "é\u202e"))
def test_no_text_spells_a_key_outside_the_store(text: str) -> None:
    try:
        key = Key(text)
    except InvalidInputError:
        return
    assert not any(part in {"", ".", ".."} for part in str(key).split("/"))


@pytest.mark.parametrize("project", ["", "-a", "A", "a/b", "..", "a" * 64, "a_b"])
def test_what_cannot_name_a_project_is_refused(project: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_project(project)


def test_bytes_are_kept_under_sha256_only() -> None:
    with pytest.raises(InvalidInputError):
        layout.blob("default", Digest("gitCommit", "a" * 40))
    with pytest.raises(InvalidInputError):
        layout.receipt("default", Digest.of(b""), "client")


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_times_survive_milliseconds_and_their_written_form(value: int) -> None:
    moment = from_milliseconds(value)
    assert to_milliseconds(moment) == value
    assert datetime.fromisoformat(written(moment)) == moment
