"""Names, parameters and the bounded log of `custody run`."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from custody.capture.redaction import Redactor
from custody.capture.shapes import find_spans
from custody.errors import MisuseError
from custody.ids import is_ulid, new_step_token, new_ulid
from custody.running.log import MAX_LINE, LineBuffer, StepLog
from custody.running.plan import default_name, parameters
from custody.running.report import size


def kept(log: StepLog) -> bytes:
    content, sha256 = log.content()
    with content.open() as stream:
        written = stream.read()
    assert len(written) == content.size
    assert hashlib.sha256(written).hexdigest() == sha256
    return written


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["make", "dist"], "make-dist"),
        (["/usr/bin/make", "-j2"], "make"),
        (["python", "scripts/train.py"], "python-train.py"),
        (["./büild", "a b"], "step"),
        (["sh", "-c", "x"], "sh"),
    ],
)
def test_a_step_is_named_after_its_command(command: list[str], name: str) -> None:
    assert default_name(command) == name


def test_parameters_stay_text() -> None:
    assert parameters(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("pairs", [["a"], ["=1"], ["a=1", "a=2"]])
def test_malformed_parameters_are_refused(pairs: list[str]) -> None:
    with pytest.raises(MisuseError):
        parameters(pairs)


def test_ids_are_ulids_in_the_order_of_time() -> None:
    ids = [new_ulid() for _ in range(3)]
    assert all(is_ulid(one) for one in ids)
    assert ids[0][:9] == ids[2][:9]
    assert not is_ulid("8" + "0" * 25)
    assert not is_ulid(ids[0].lower())


def test_tokens_are_long_and_different() -> None:
    tokens = {new_step_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("cst_") and len(token) == 47 for token in tokens)


@given(st.lists(st.binary()))
def test_the_log_is_what_was_written(chunks: list[bytes]) -> None:
    # What looks like a password in an address is masked: tests/client/test_masking.py.
    assume(not find_spans(b"".join(chunks)))
    log = StepLog(Redactor())
    stream = log.stream()
    for chunk in chunks:
        stream.write(chunk)
    stream.end()
    assert kept(log) == b"".join(chunks)
    log.close()


def test_too_long_a_log_keeps_beginning_and_end_and_says_so() -> None:
    log = StepLog(Redactor(), limit=100)
    stream = log.stream()
    for number in range(1000):
        stream.write(b"%07d\n" % number)
    stream.end()
    written = kept(log)
    log.close()
    assert written.startswith(b"0000000\n")
    assert written.endswith(b"0000999\n")
    assert b"[custody: 7900 bytes of output were left out here]" in written
    assert len(written) < 200


@given(st.integers(1, 40), st.integers(0, 200))
def test_the_log_never_outgrows_its_limit(limit: int, count: int) -> None:
    log = StepLog(Redactor(), limit=limit)
    stream = log.stream()
    for _ in range(count):
        stream.write(b"ab\n")
    stream.end()
    assert len(kept(log)) <= limit + 80
    log.close()


def test_a_secret_split_between_two_chunks_is_masked() -> None:
    log = StepLog(Redactor(["hunter2-hunter2"]))
    stream = log.stream()
    other = log.stream()
    stream.write(b"found: hunter2-hun")
    other.write(b"meanwhile\n")
    stream.write(b"ter2\n")
    stream.end()
    assert kept(log) == b"meanwhile\nfound: ***\n"
    log.close()


def test_a_line_without_end_is_handed_on_in_time() -> None:
    sizes: list[int] = []
    stream = LineBuffer(lambda piece: sizes.append(len(piece)))
    for _ in range(20):
        stream.write(b"x" * (MAX_LINE // 8))
    stream.end()
    assert sum(sizes) == 20 * (MAX_LINE // 8)
    assert max(sizes) <= MAX_LINE + MAX_LINE // 8


def test_a_key_is_masked_also_when_the_other_stream_talks_into_it() -> None:
    log = StepLog(Redactor())
    out, err = log.stream(), log.stream()
    out.write(b"-----BEGIN PRIVATE KEY-----\n" + b"QUJD" * 16 + b"\n")
    err.write(b"a warning\n")
    out.write(b"QUJD" * 16 + b"\n-----END PRIVATE KEY-----\nafter\n")
    written = kept(log)
    log.close()
    assert b"QUJD" not in written
    assert written.startswith(b"a warning\n")
    assert written.endswith(b"after\n")


def test_two_streams_keep_their_lines_whole() -> None:
    log = StepLog(Redactor())
    out, err = log.stream(), log.stream()
    out.write(b"one ")
    err.write(b"two\n")
    out.write(b"three\n")
    assert kept(log) == b"two\none three\n"
    log.close()


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 50, "1024.0 TiB")]
)
def test_sizes_are_written_for_people(count: int, shown: str) -> None:
    assert size(count) == shown
