"""Uploads that go wrong: tried once more, then said; what is about one file stays with that file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custody.contents import hashed
from custody.errors import PolicyError, RefusedError
from custody.products import Produced
from custody.recording import Recording
from custody.service import Service
from custody.transport import Transport
from tests.client.stub import Reply, in_turn, peer


def problem(code: int, slug: str) -> Reply:
    body = json.dumps({"type": f"http://h/problems#{slug}", "detail": slug, "status": code}).encode()
    return Reply(code, body, {"Content-Type": "application/problem+json"})


def test_a_mismatch_is_hashed_and_sent_once_more_and_then_reported(tmp_path: Path) -> None:
    (tmp_path / "busy").write_text("busy")
    (tmp_path / "calm").write_text("calm")
    files = [Produced(name, hashed(tmp_path / name)) for name in ("busy", "calm")]

    def answer(path: str) -> Reply:
        if path.endswith("/missing"):
            return Reply(body=json.dumps({"missing": [one.file.digest for one in files]}).encode())
        if path.endswith("/busy"):
            return problem(422, "digest-mismatch")
        return Reply(201, json.dumps({"digest": {"sha256": files[1].file.sha256}}).encode())

    with peer(answer) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        busy, calm = recording.keep(files)
        recording.close()
    assert [asked.path for asked in there.asked].count("/v1/steps/01STEP/outputs/busy") == 2
    assert (busy.stored, busy.trouble) == (False, "keeps changing while it is uploaded")
    assert (calm.stored, calm.trouble, calm.digest) == (True, None, files[1].file.digest)
    sent = next(asked for asked in there.asked if asked.path.endswith("/calm"))
    assert sent.headers["authorization"] == "Bearer cst_token"
    assert sent.headers["content-digest"].startswith("sha-256=:")


def test_a_file_that_was_replaced_after_it_was_hashed_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "replaced"
    path.write_text("before")
    old = Produced("replaced", hashed(path))
    path.unlink()
    path.write_text("afterwards")
    new = hashed(path)

    def answer(asked: str) -> Reply:
        if asked.endswith("/missing"):
            return Reply(body=json.dumps({"missing": [old.file.digest]}).encode())
        return Reply(201, json.dumps({"digest": {"sha256": new.sha256}}).encode())

    with peer(answer) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        (kept,) = recording.keep([old])
        recording.close()
    assert kept.digest == new.digest
    assert [asked.body for asked in there.asked if asked.method == "PUT"] == [b"afterwards"]


def test_a_name_too_long_for_a_record_keeps_nothing_else_out(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    file = hashed(tmp_path / "x")
    names = ["a", "d/" * 512 + "x", "b"]
    answers = in_turn(Reply(body=b'{"missing": []}'))
    with peer(answers) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        first, long, last = recording.keep([Produced(name, file) for name in names])
        recording.close()
    assert (first.stored, long.stored, last.stored) == (True, False, True)
    assert "longer than the 1024 characters" in str(long.trouble)
    (sent,) = [json.loads(asked.body) for asked in there.asked if asked.path.endswith("/outputs")]
    assert [one["name"] for one in sent["outputs"]] == ["a", "b"]


def test_one_reference_that_is_refused_keeps_no_other_out(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    file = hashed(tmp_path / "x")
    refused, taken = problem(422, "invalid-input"), Reply()
    # All five; the first two; the other three; the first of these; the last two.
    answers = in_turn(Reply(body=b'{"missing": []}'), refused, taken, refused, refused, taken)
    with peer(answers) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        kept = recording.keep([Produced(name, file) for name in ("a", "b", "bad", "c", "d")])
        recording.close()
    assert [one.name for one in kept if not one.stored] == ["bad"]


def test_a_finished_step_is_not_asked_for_each_reference(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    file = hashed(tmp_path / "x")
    answers = in_turn(Reply(body=b'{"missing": []}'), problem(409, "step-finished"))
    with peer(answers) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        with pytest.raises(RefusedError):
            recording.keep([Produced(name, file) for name in ("a", "b", "c")])
        recording.close()
    assert len(there.asked) == 2


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refusal_of_the_step_itself_is_not_taken_for_one_of_the_file(tmp_path: Path, code: int) -> None:
    (tmp_path / "x").write_text("x")
    one = Produced("x", hashed(tmp_path / "x"))

    def answer(path: str) -> Reply:
        if path.endswith("/missing"):
            return Reply(body=json.dumps({"missing": [one.file.digest]}).encode())
        return problem(code, "no")

    with peer(answer) as there, Service(Transport(there.url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        with pytest.raises(RefusedError):
            recording.keep([one])
        recording.close()


def test_a_step_that_will_never_be_signed_is_a_refusal_by_policy() -> None:
    page = {"state": "refused", "ledger": [{"state": "refused", "at": "now", "reason": "bytes are missing"}]}
    with Service(Transport("http://127.0.0.1:1", "token")) as project:
        refusal = Recording(project, "01STEP", "cst_token", page).refusal()
        assert Recording(project, "01STEP", "cst_token", {"state": "signed"}).refusal() is None
    assert isinstance(refusal, PolicyError)
    assert (refusal.status, refusal.message) == (5, "bytes are missing")
