"""`custody audit`: what a service says of its log is computed again, and held against what was kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from custody.__main__ import main
from custody.checkpoints import Checkpoints
from custody.errors import ContentError
from custody.evidence.errors import EvidenceError
from custody.evidence.log.auditing import LogView
from custody.evidence.log.checkpoint import Checkpoint
from custody.evidence.log.leaf import Leaf as ClientLeaf
from custody.evidence.log.notes import NoteKey
from provenance.bundle import Bundle
from provenance.log.leaf import Leaf
from provenance.log.notes import NoteSigner
from provenance.log.tiles import encode_entries
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.client.conftest import Command
from tests.client.stub import Reply, peer
from tests.client.workbench import repository
from tests.provenance.log.memory import SIGNER, MemoryLog
from tests.provenance.log.trees import numbered

KEY = NoteKey.parse(SIGNER.key.text)


@contextmanager
def serving(log: MemoryLog, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """A service with that log, and a user who has pinned its key."""

    def answer(path: str) -> Reply:
        content = log.store.objects.get(path.removeprefix("/v1/"))
        return Reply(404, b'{"detail":"not found"}') if content is None else Reply(200, content)

    with peer(answer) as found:
        for name in ("CUSTODY_PIN", "CUSTODY_STEP", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CUSTODY_URL", found.url)
        monkeypatch.setenv("CUSTODY_TOKEN", "cpt_token")
        monkeypatch.setenv("CUSTODY_LOG_KEY", SIGNER.key.text)
        monkeypatch.setenv("HOME", str(home))
        yield


def kept(home: Path) -> Checkpoint | None:
    """What the user remembers of the log."""
    return Checkpoints(home / ".local" / "state" / "custody" / "checkpoints").kept(KEY)


def test_a_log_that_grows_is_computed_again_and_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(MemoryLog(numbered(300)), monkeypatch, tmp_path):
        assert main(["audit"]) == 0
    assert "nothing was kept" in capsys.readouterr().out
    with serving(MemoryLog(numbered(700)), monkeypatch, tmp_path):
        assert main(["audit"]) == 0
        assert "begins with all 300 leaves" in capsys.readouterr().out
        assert main(["audit", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["size"], told["computed"], told["kept"]) == (700, 700, 700)
    found = kept(tmp_path)
    assert found is not None
    assert found.size == 700


def test_only_what_came_after_a_checkpoint_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = MemoryLog(numbered(700), 300, 700)
    since = tmp_path / "since"
    since.write_bytes(MemoryLog(numbered(300)).store.objects["log/checkpoint"])
    with serving(log, monkeypatch, tmp_path):
        assert main(["audit", "--since", str(since), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["computed"] == 400
        since.write_bytes(MemoryLog([*numbered(299), b"another"]).store.objects["log/checkpoint"])
        assert main(["audit", "--since", str(since)]) == 1
        since.write_bytes(MemoryLog(numbered(701)).store.objects["log/checkpoint"])
        assert main(["audit", "--since", str(since)]) == 1
        since.write_bytes(b"no note")
        assert main(["audit", "--since", str(since)]) == 1


def test_a_log_that_went_back_or_was_forked_is_refused_and_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(MemoryLog(numbered(300)), monkeypatch, tmp_path):
        assert main(["audit"]) == 0
    before = kept(tmp_path)
    for entries in (numbered(299), [b"another", *numbered(300)[1:]], [b"another", *numbered(500)[1:]]):
        with serving(MemoryLog(entries), monkeypatch, tmp_path):
            assert main(["audit"]) == 1
            assert "the log is not what was signed" in capsys.readouterr().err
    assert kept(tmp_path) == before


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/000", "tile/1/000.p/1", "tile/0/001.p/44"])
def test_whatever_was_changed_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    for change in (b"", None):
        log = MemoryLog(numbered(300))
        content = log.store.objects[f"log/{name}"]
        if change is None:
            log.store.objects[f"log/{name}"] = content[:-1] + bytes([content[-1] ^ 1])
        else:
            del log.store.objects[f"log/{name}"]
        with serving(log, monkeypatch, tmp_path):
            assert main(["audit"]) == 1


def test_a_signer_whose_tiles_are_right_and_whose_root_is_not_is_found() -> None:
    log = MemoryLog(numbered(5))

    class Source:
        def tile(self, path: str) -> bytes:
            return log.store.objects[f"log/tile/{path}"]

    lied = Checkpoint(KEY.name, 5, bytes(32))
    with pytest.raises(EvidenceError, match="root"):
        list(LogView(Source()).compute(None, lied))
    log.store.objects["log/tile/entries/000.p/5"] = encode_entries([*numbered(4), b"another"])
    with pytest.raises(EvidenceError, match="does not follow"):
        list(LogView(Source()).compute(None, lied))


def test_without_a_key_that_was_pinned_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(MemoryLog(numbered(3)), monkeypatch, tmp_path):
        monkeypatch.delenv("CUSTODY_LOG_KEY")
        assert main(["audit"]) == 2
        assert "no key of the log is pinned" in capsys.readouterr().err
        assert main(["audit", "--log-key", "nonsense"]) == 2
        other = NoteSigner.of("custody.test", ed25519.Ed25519PrivateKey.generate())
        assert main(["audit", "--log-key", other.key.text]) == 1


def test_an_owner_learns_what_was_signed_with_a_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signers = [LocalSigner.of(ec.derive_private_key(secret, ec.SECP256R1())) for secret in (7, 8)]
    leaves = [
        Leaf.of(Bundle.of(sealed(PAYLOAD_TYPE, b"%d" % number, signer)), signer.public_key)
        for number, signer in enumerate([signers[0], signers[1], signers[0]])
    ]
    log = MemoryLog([leaf.to_bytes() for leaf in leaves])
    pem = tmp_path / "key.pem"
    pem.write_text(signers[0].public_key.pem)
    builder = "https://custody.test/builders/local/v1"
    published = [{"keyid": signers[1].public_key.keyid, "builder_id": builder}]
    with serving(log, monkeypatch, tmp_path):
        assert main(["audit", "--identity", str(pem), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["signed"]
        assert [one["index"] for one in told] == [0, 2]
        assert told[0]["pae_sha256"] == leaves[0].digest.hex()
        assert main(["audit", "--identity", signers[1].public_key.keyid]) == 0
        assert f"leaf 1  signed sha256:{leaves[1].digest.hex()}" in capsys.readouterr().out
        assert main(["audit", "--identity", builder]) == 3
        log.store.objects["/.well-known/custody/keys.json"] = json.dumps({"keys": published}).encode()
        assert main(["audit", "--identity", builder]) == 0
        assert "1 signatures by" in capsys.readouterr().out


def test_a_leaf_that_names_a_key_and_was_not_signed_by_it_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signer = LocalSigner.of(ec.derive_private_key(7, ec.SECP256R1()))
    leaf = Leaf.of(Bundle.of(sealed(PAYLOAD_TYPE, b"{}", signer)), signer.public_key)
    framed = Leaf(bytes(32), leaf.signature, leaf.spki).to_bytes()
    with serving(MemoryLog([framed]), monkeypatch, tmp_path):
        assert main(["audit"]) == 0
        assert main(["audit", "--identity", signer.public_key.keyid]) == 1
    assert ClientLeaf(leaf.digest, leaf.signature, b"no key").keyid == ""


def test_a_remembered_checkpoint_that_was_changed_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(MemoryLog(numbered(3)), monkeypatch, tmp_path):
        assert main(["audit"]) == 0
        [path] = (tmp_path / ".local/state/custody/checkpoints").glob("custody.test-*")
        path.write_bytes(path.read_bytes()[:-2])
        assert main(["audit"]) == 1
        assert "remove it to begin anew" in capsys.readouterr().err
        path.unlink()
        monkeypatch.setenv("HOME", "")
        assert main(["audit"]) == 0
        assert not path.exists()
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        assert main(["audit"]) == 0
    assert list((tmp_path / "elsewhere" / "custody" / "checkpoints").glob("custody.test-*"))


def test_less_never_takes_the_place_of_more(tmp_path: Path) -> None:
    folder = Checkpoints(tmp_path / "kept")
    for size in (5, 3, 5):
        folder.keep(MemoryLog(numbered(size)).store.objects["log/checkpoint"], KEY)
    found = folder.kept(KEY)
    assert found is not None
    assert found.size == 5
    with pytest.raises(EvidenceError):
        folder.keep(b"no note", KEY)
    [path] = (tmp_path / "kept").glob("custody.test-*")
    path.write_bytes(b"damaged")
    with pytest.raises(ContentError):
        folder.keep(MemoryLog(numbered(9)).store.objects["log/checkpoint"], KEY)


@pytest.mark.slow
def test_the_log_of_a_real_service_is_audited(command: Command, place: Path) -> None:
    repository(place)
    assert command("run", "--", "sh", "-c", "echo built > app").returncode == 0
    # Logging follows signing within a moment; the first audit may come before the first leaf.
    for _ in range(200):
        done = command("audit", "--json")
        if done.returncode == 0:
            break
        assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["size"] >= 1
    assert told["origin"] == "127.0.0.1"
