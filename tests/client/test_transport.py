"""The connection to the service: persistent, bounded, and loyal to one host."""

from __future__ import annotations

import io
import socket

import pytest

from custody.bodies import Content
from custody.connections import parse_address
from custody.errors import MisuseError, RefusedError, ServiceError, UnreachableError
from custody.service import Service
from custody.transport import Patience, Request, Transport
from custody.wire import document
from tests.client.stub import Reply, in_turn, peer

TOKEN = "cst_very-secret"
HASTY = Patience(attempts=4, timeout=5.0, first_pause=0.001)
GET = Request("GET", "/v1/x")


def test_the_token_and_prefix_go_along() -> None:
    with peer(in_turn(Reply())) as there:
        transport = Transport(f"{there.url}/base/", TOKEN)
        assert transport.ask(GET).code == 200
        transport.close()
    assert there.asked[0].path == "/base/v1/x"
    assert there.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_one_connection_serves_many_requests() -> None:
    with peer(in_turn(Reply())) as there:
        transport = Transport(there.url, TOKEN)
        for _ in range(5):
            transport.ask(GET)
        transport.close()
    assert there.connections == 1


def test_a_body_that_nobody_read_is_not_taken_for_the_next_answer() -> None:
    with peer(in_turn(Reply(body=b"x" * 100_000), Reply(body=b"second"))) as there:
        transport = Transport(there.url, TOKEN)
        with transport.open(GET):
            pass
        assert transport.ask(GET).body == b"second"
        transport.close()


@pytest.mark.parametrize("trouble", [Reply(502), Reply(503), Reply(504), Reply(drop=True)])
def test_what_may_pass_is_tried_again(trouble: Reply) -> None:
    with peer(in_turn(trouble, trouble, Reply(body=b'{"a":1}'))) as there:
        transport = Transport(there.url, TOKEN, patience=HASTY)
        assert document(transport.ask(GET)) == {"a": 1}
        transport.close()
    assert len(there.asked) == 3


def test_an_upload_is_sent_again_from_its_beginning() -> None:
    with peer(in_turn(Reply(503), Reply(drop=True), Reply())) as there:
        content = Content(8, lambda: io.BytesIO(b"contents"))
        transport = Transport(there.url, TOKEN, patience=HASTY)
        transport.ask(Request("PUT", "/x", body=content))
        transport.close()
    assert [asked.body for asked in there.asked] == [b"contents"] * 3


def test_the_last_answer_counts_when_patience_ends() -> None:
    with peer(in_turn(Reply(503))) as there:
        transport = Transport(there.url, TOKEN, patience=HASTY)
        with pytest.raises(RefusedError, match="503"):
            document(transport.ask(GET))
        transport.close()
    assert len(there.asked) == 4


def test_retry_after_is_honoured_within_reason() -> None:
    pauses: list[float] = []
    busy = [Reply(503, headers={"Retry-After": written}) for written in ("2", "9999", "soon")]
    with peer(in_turn(*busy, Reply())) as there:
        transport = Transport(there.url, TOKEN, patience=HASTY, sleep=pauses.append)
        transport.ask(GET)
        transport.close()
    assert pauses[:2] == [2.0, 30.0]
    assert 0 < pauses[2] < 1


def test_a_dead_service_is_said_to_be_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}", TOKEN, patience=HASTY)
    with pytest.raises(
        UnreachableError, match=f"http://127.0.0.1:{port} does not answer: Connection refused"
    ):
        transport.ask(GET)


def test_a_service_that_hangs_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        transport = Transport(f"http://127.0.0.1:{port}", TOKEN, patience=Patience(attempts=1, timeout=0.05))
        with pytest.raises(UnreachableError, match="too long"):
            transport.ask(GET)


def test_the_token_never_follows_a_redirect() -> None:
    with (
        peer(in_turn(Reply())) as elsewhere,
        peer(in_turn(Reply(307, headers={"Location": elsewhere.url}))) as there,
    ):
        transport = Transport(there.url, TOKEN)
        with pytest.raises(RefusedError, match="never followed"):
            document(transport.ask(GET))
        transport.close()
    assert elsewhere.asked == []


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    with peer(in_turn(Reply(body=b"x" * 1000))) as there:
        transport = Transport(there.url, TOKEN)
        with pytest.raises(ServiceError, match="larger than 100 bytes"):
            transport.ask(GET, limit=100)
        transport.close()


def test_a_refusal_in_the_middle_of_an_upload_is_understood() -> None:
    refused = Reply(413, b'{"title":"too large"}', {"Content-Type": "application/problem+json"}, early=True)
    with peer(in_turn(refused)) as there:
        size = 64 * 1024 * 1024
        transport = Transport(there.url, TOKEN, patience=Patience(attempts=1))
        content = Content(size, lambda: io.BytesIO(bytes(size)))
        with pytest.raises(ServiceError) as caught:
            document(transport.ask(Request("PUT", "/x", body=content)))
        transport.close()
    # The system may reset the connection before the answer is read; it is an error either way.
    assert isinstance(caught.value, (RefusedError, UnreachableError))


def test_a_file_that_shrinks_or_grows_is_sent_at_its_announced_length() -> None:
    with peer(in_turn(Reply())) as there:
        transport = Transport(there.url, TOKEN)
        transport.ask(Request("PUT", "/x", body=Content(4, lambda: io.BytesIO(b"ab"))))
        transport.ask(Request("PUT", "/x", body=Content(2, lambda: io.BytesIO(b"abcd"))))
        transport.close()
    assert [asked.body for asked in there.asked] == [b"ab\0\0", b"ab"]


def test_a_problem_document_becomes_its_detail_and_hint() -> None:
    problem = b'{"type":"http://h/problems#digest-mismatch","title":"T","detail":"D","hint":"H","status":422}'
    with peer(in_turn(Reply(422, problem, {"Content-Type": "application/problem+json"}))) as there:
        service = Service(Transport(there.url, TOKEN))
        with pytest.raises(RefusedError) as caught:
            service.begin({})
        service.transport.close()
    error = caught.value
    assert (error.code, error.slug, error.message, error.hint) == (422, "digest-mismatch", "D", "H")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 100_000])
def test_json_that_is_not_strict_is_refused(body: bytes) -> None:
    with peer(in_turn(Reply(body=body))) as there:
        transport = Transport(there.url, TOKEN)
        with pytest.raises(ServiceError):
            document(transport.ask(GET))
        transport.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:y",
        "http://a b",
        "http://x\r\nHost: y",
        "http://x?y",
        "http://x#y",
        "http://user:password@x",
        "http://xn\u2024y",
        "//x",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse_address(url)
    assert "password" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown", "exposed"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", False),
        ("http://[::1]:80", "http://[::1]", False),
        ("http://custody.example.com/a/", "http://custody.example.com/a", True),
        ("https://custody.example.com:443", "https://custody.example.com", False),
    ],
)
def test_an_address_is_known_to_be_exposed_or_not(url: str, shown: str, exposed: bool) -> None:
    address = parse_address(url)
    assert (address.shown, address.exposed) == (shown, exposed)


def test_no_error_repeats_the_token() -> None:
    transport = Transport("http://127.0.0.1:1", TOKEN, patience=Patience(attempts=1))
    with pytest.raises(UnreachableError) as caught:
        transport.ask(GET)
    assert TOKEN not in repr(caught.value) + str(caught.value.__cause__)
