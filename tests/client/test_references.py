"""References as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.errors import MisuseError
from custody.references import Reference, check_uri, is_digest, looks_like_reference, parse

HEX = "a" * 64


def test_a_digest_alone_is_a_reference() -> None:
    assert parse(f"sha256:{HEX}") == Reference("sha256", HEX)
    assert parse(f"sha256:{HEX}").descriptor() == {"digest": {"sha256": HEX}}


def test_a_uri_needs_a_digest() -> None:
    found = parse(f"https://example.com/user@host/x@sha256:{HEX}")
    assert found.descriptor() == {"uri": "https://example.com/user@host/x", "digest": {"sha256": HEX}}
    with pytest.raises(MisuseError) as caught:
        parse("https://example.com/x")
    assert caught.value.hint is not None
    assert "URI@sha256" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "sha256:",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"md5:{HEX[:32]}",
        f"@sha256:{HEX}",
        f"no-scheme@sha256:{HEX}",
        f"https://a b@sha256:{HEX}",
        f"https://a\n@sha256:{HEX}",
        "gitCommit:abc",
        f"sha256:{HEX}\n",
        f"https://x@sha256:{HEX}@sha256:zz",
        "x:" + "y" * 5000 + f"@sha256:{HEX}",
    ],
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(MisuseError):
        parse(text)


@given(st.text())
def test_any_text_is_read_or_refused_in_one_way(text: str) -> None:
    try:
        found = parse(text)
    except MisuseError:
        return
    assert is_digest(found.digest)
    assert parse(found.digest if found.uri is None else f"{found.uri}@{found.digest}") == found


@given(
    st.sampled_from(["sha256", "sha3_256", "gitCommit"]),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_the_written_form_reads_back(algorithm: str, value: str) -> None:
    assert parse(f"https://example.com/x@{algorithm}:{value}").digest == f"{algorithm}:{value}"


@pytest.mark.parametrize("path", ["dist/app.whl", "./https://x", "/etc/passwd", "C:/x", "a@b", "name"])
def test_paths_are_no_references(path: str) -> None:
    assert not looks_like_reference(path)


@pytest.mark.parametrize("text", ["https://x", "pkg:pypi/flask@3.1.0", "sha256:zz", "base@sha256:77"])
def test_what_was_meant_as_a_reference_is_not_taken_for_a_path(text: str) -> None:
    assert looks_like_reference(text)


def test_an_opaque_uri_is_accepted() -> None:
    assert check_uri("pkg:pypi/flask@3.1.0") == "pkg:pypi/flask@3.1.0"


@pytest.mark.parametrize(
    "uri", ["https://user:hunter2@example.com/x", "ssh://:hunter2@h", "https://a:hunter2@b@c/"]
)
def test_a_password_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse(f"{uri}@sha256:{HEX}")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert check_uri("ssh://git@example.com:22/x@1") == "ssh://git@example.com:22/x@1"
