"""A file gets its name only after its bytes were verified."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from custody.downloads import fetch, fetch_to_file
from custody.errors import ContentError, MisuseError, UnreachableError
from custody.service import Service
from custody.transport import Patience, Transport
from tests.client.stub import Peer, Reply, in_turn, peer

GOOD = b"good bytes" * 1000
SHA = hashlib.sha256(GOOD).hexdigest()


def there(found: Peer) -> Service:
    return Service(Transport(found.url, "token", patience=Patience(attempts=2, first_pause=0.001)))


def test_verified_bytes_get_their_name_and_ordinary_permissions(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with peer(in_turn(Reply(body=GOOD))) as found, there(found) as service:
        assert fetch_to_file(service, SHA, target) == len(GOOD)
    assert target.read_bytes() == GOOD
    assert target.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [target]


def test_other_bytes_leave_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with (
        peer(in_turn(Reply(body=b"evil" + GOOD))) as found,
        there(found) as service,
        pytest.raises(ContentError, match=f"for sha256:{SHA}"),
    ):
        fetch_to_file(service, SHA, target)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    broken = Reply(body=GOOD[:100], length=len(GOOD))
    with peer(in_turn(broken, broken, Reply(body=GOOD))) as found, there(found) as service:
        stream = io.BytesIO()
        fetch(service, SHA, stream)
    assert stream.getvalue() == GOOD


def test_an_answer_that_always_breaks_off_is_an_error(tmp_path: Path) -> None:
    with (
        peer(in_turn(Reply(body=GOOD[:100], length=len(GOOD)))) as found,
        there(found) as service,
        pytest.raises(UnreachableError, match="broke off"),
    ):
        fetch_to_file(service, SHA, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept_unless_it_shall_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("mine")
    with peer(in_turn(Reply(body=GOOD))) as found, there(found) as service:
        with pytest.raises(ContentError, match="exists"):
            fetch_to_file(service, SHA, target)
        assert target.read_text() == "mine"
        fetch_to_file(service, SHA, target, replace=True)
    assert target.read_bytes() == GOOD


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    target, victim = tmp_path / "x", tmp_path / "victim"
    target.symlink_to(victim)
    with peer(in_turn(Reply(body=GOOD))) as found, there(found) as service:
        with pytest.raises(ContentError, match="exists"):
            fetch_to_file(service, SHA, target)
        fetch_to_file(service, SHA, target, replace=True)
    assert not victim.exists()
    assert not target.is_symlink()


def test_what_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x"

    def answer(_path: str) -> Reply:
        target.write_text("appeared")
        return Reply(body=GOOD)

    with peer(answer) as found, there(found) as service, pytest.raises(ContentError, match="exists"):
        fetch_to_file(service, SHA, target)
    assert target.read_text() == "appeared"
    assert list(tmp_path.iterdir()) == [target]


def test_a_directory_that_does_not_exist_is_said_to_be_missing(tmp_path: Path) -> None:
    with (
        peer(in_turn(Reply(body=GOOD))) as found,
        there(found) as service,
        pytest.raises(MisuseError, match="No such file"),
    ):
        fetch_to_file(service, SHA, tmp_path / "no" / "x")
