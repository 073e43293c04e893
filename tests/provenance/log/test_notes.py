"""Notes, checkpoints and proofs as text: what was signed reads back, and nothing else counts."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import EvidenceError, InvalidInputError
from provenance.log.checkpoint import Checkpoint
from provenance.log.merkle import leaf_hash
from provenance.log.notes import COSIGNATURE, MAX_NOTE_BYTES, Note, NoteKey, NoteSignature, NoteSigner
from provenance.log.prooftext import LogProof
from tests.provenance.log.trees import audit_path, numbered, tree_hash

ORIGIN = "custody.test"
SIGNER = NoteSigner.of(ORIGIN, ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
OTHER = NoteSigner.of(ORIGIN, ed25519.Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
CHECKPOINT = Checkpoint(ORIGIN, 9, tree_hash(numbered(9)))

_texts = st.text(st.characters(codec="utf-8", exclude_characters="".join(map(chr, range(32))))).map(
    "{}\n".format
)


@given(st.lists(_texts, min_size=1, max_size=4).map("".join))
def test_a_note_reads_back_and_its_signature_holds(text: str) -> None:
    note = SIGNER.sign(text)
    assert Note.parse(note.to_bytes()) == note
    assert note.verify([OTHER.key, SIGNER.key]) == {SIGNER.key}


@given(st.integers(0, 8 * len(CHECKPOINT.signed(SIGNER)) - 1))
def test_a_checkpoint_with_one_bit_flipped_is_none(bit: int) -> None:
    raw = bytearray(CHECKPOINT.signed(SIGNER))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        Checkpoint.verified(bytes(raw), SIGNER.key)


def test_signatures_of_strangers_are_ignored_and_a_wrong_one_of_a_known_key_is_not() -> None:
    note = SIGNER.sign("text\n")
    [signature] = note.signatures
    stranger = OTHER.sign("something else\n").signatures[0]
    assert Note("text\n", (stranger, signature)).verify([SIGNER.key]) == {SIGNER.key}
    for signatures in ((stranger, signature), (signature, stranger)):
        with pytest.raises(EvidenceError, match="wrong"):
            Note("text\n", signatures).verify([SIGNER.key, OTHER.key])
    with pytest.raises(EvidenceError, match="no known key"):
        Note("text\n", (stranger,)).verify([SIGNER.key])


def test_a_witness_signs_with_a_time() -> None:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(b"\3" * 32)
    witness = NoteKey("witness.test", private.public_key().public_bytes_raw(), COSIGNATURE)
    moment = (1_700_000_000).to_bytes(8, "big")
    made = private.sign(b"cosignature/v1\ntime 1700000000\n" + CHECKPOINT.text.encode())
    line = NoteSignature(witness.name, witness.key_id, moment + made)
    note = SIGNER.sign(CHECKPOINT.text)
    both = Note(note.text, (*note.signatures, line))
    assert Note.parse(both.to_bytes()).verify([SIGNER.key, witness]) == {SIGNER.key, witness}
    later = replace(line, signature=(1_700_000_001).to_bytes(8, "big") + made)
    with pytest.raises(EvidenceError, match="wrong"):
        Note(note.text, (*note.signatures, later)).verify([SIGNER.key, witness])


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"text\n", b"text\n\n", b"\n\n", "text\n\n— name\n".encode(), b"text\n\nname AAAAAAAA\n"),
        *("text\n\n— name AAAAAAA=".encode(), "text\n\n— name AAAAAAA=\nmore\n".encode()),
        *("text\n\n— name AAAA\n".encode(), "text\n\n— name ????\n".encode(), b"\xff\n\n"),
        *("text\n\n— na+me AAAAAAAA\n".encode(), "text\n\n—  AAAAAAAA\n".encode()),
        *("te\rxt\n\n— name AAAAAAAA\n".encode(), "text\n\n— name AAAAAAB=\n".encode()),
        b"text\n\n" + "— name AAAAAAAA\n".encode() * 65,
        b"x" * MAX_NOTE_BYTES + "\n\n— name AAAAAAAA\n".encode(),
    ],
)
def test_what_is_written_otherwise_is_no_note(raw: bytes) -> None:
    with pytest.raises(EvidenceError):
        Note.parse(raw)


@pytest.mark.parametrize("text", ["", "no end", "tab\t\n"])
def test_text_that_a_note_cannot_have_is_not_signed(text: str) -> None:
    with pytest.raises(InvalidInputError):
        SIGNER.sign(text)


def test_a_key_as_one_word_reads_back() -> None:
    assert NoteKey.parse(SIGNER.key.text) == SIGNER.key


@pytest.mark.parametrize(
    "text",
    [
        *("", "name", "name+00000000", "name+00000000+????", "name+00000000+AAAA", f"x{SIGNER.key.text}"),
        "name+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
        SIGNER.key.text.replace(ORIGIN, "two words"),
        SIGNER.key.text.replace(ORIGIN, ""),
        SIGNER.key.text + "AAAA",
    ],
)
def test_what_is_written_otherwise_is_no_key(text: str) -> None:
    with pytest.raises(InvalidInputError):
        NoteKey.parse(text)


def test_a_key_that_is_no_point_of_the_curve_verifies_nothing() -> None:
    assert not NoteKey("name", b"\2" + bytes(31)).verifies(bytes(64), b"text\n")


def test_a_checkpoint_reads_back_for_its_own_log_alone() -> None:
    raw = CHECKPOINT.signed(SIGNER)
    assert Checkpoint.verified(raw, SIGNER.key) == CHECKPOINT
    with pytest.raises(EvidenceError):
        Checkpoint.verified(raw, OTHER.key)
    elsewhere = replace(CHECKPOINT, origin="elsewhere.test").signed(SIGNER)
    with pytest.raises(EvidenceError, match="another log"):
        Checkpoint.verified(elsewhere, SIGNER.key)


_ROOT = base64.b64encode(CHECKPOINT.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            f"{ORIGIN}\n9\n",
            f"{ORIGIN}\n9\n{_ROOT}",
            f"{ORIGIN}\n09\n{_ROOT}\n",
            f"{ORIGIN}\n-1\n{_ROOT}\n",
        ),
        *(f"{ORIGIN}\n9\n{_ROOT}\nmore\n", f"\n9\n{_ROOT}\n", f"a b\n9\n{_ROOT}\n", f"a+b\n9\n{_ROOT}\n"),
        *(f"{ORIGIN}\n9\n????\n", f"{ORIGIN}\n9\nAAAA\n", f"{ORIGIN}\n9\n{_ROOT[:-2]}9=\n"),
    ],
)
def test_what_is_written_otherwise_is_no_checkpoint(text: str) -> None:
    with pytest.raises(EvidenceError):
        Checkpoint.read(text)


def test_a_checkpoint_is_of_a_tree() -> None:
    with pytest.raises(InvalidInputError):
        Checkpoint(ORIGIN, -1, CHECKPOINT.root)
    with pytest.raises(InvalidInputError):
        Checkpoint(ORIGIN, 1, b"")


def _proof(index: int) -> LogProof:
    return LogProof(index, tuple(audit_path(index, numbered(9))), CHECKPOINT.signed(SIGNER))


@given(st.integers(0, 8))
def test_a_proof_as_text_reads_back_and_shows_that_the_entry_is_logged(index: int) -> None:
    proof = _proof(index)
    assert LogProof.parse(proof.to_bytes()) == proof
    assert proof.verify(numbered(9)[index], SIGNER.key) == CHECKPOINT
    with pytest.raises(EvidenceError):
        proof.verify(b"another", SIGNER.key)


def test_a_proof_of_the_only_leaf_has_no_hashes() -> None:
    alone = Checkpoint(ORIGIN, 1, leaf_hash(b"alone"))
    proof = LogProof(0, (), alone.signed(SIGNER))
    assert LogProof.parse(proof.to_bytes()) == proof
    assert proof.verify(b"alone", SIGNER.key) == alone


@given(st.integers(0, 8 * len(_proof(5).to_bytes()) - 1))
def test_a_proof_with_one_bit_flipped_shows_nothing(bit: int) -> None:
    raw = bytearray(_proof(5).to_bytes())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(EvidenceError):
        LogProof.parse(bytes(raw)).verify(numbered(9)[5], SIGNER.key)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"c2sp.org/tlog-proof@v1\n\n", b"c2sp.org/tlog-proof@v1\nindex 0\n", b"x\nindex 0\n\n"),
        *(b"c2sp.org/tlog-proof@v1\nindex 00\n\n", b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\n"),
        *(
            b"c2sp.org/tlog-proof@v1\nindex 0\n????\n\n",
            b"\xff\n\n",
            b"c2sp.org/tlog-proof@v1\nindex 0\nAB==\n\n",
        ),
        b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + b"x" * 80_000,
    ],
)
def test_what_is_written_otherwise_is_no_proof(raw: bytes) -> None:
    with pytest.raises(EvidenceError):
        LogProof.parse(raw)
