"""The client warns once about a service that it was not made for, and works on."""

from __future__ import annotations

import pytest

from custody import __version__
from custody.transport import Request, Transport
from custody.versions import heed, outside
from tests.client.stub import Reply, peer


@pytest.mark.parametrize(
    ("told", "own", "within"),
    [
        ("0.5.0; oldest-client=0.4.0", "0.5.3", True),
        ("0.5.0; oldest-client=0.4.0", "0.4.0", True),
        ("0.5.0; oldest-client=0.4.2", "0.4.0", True),
        ("0.5.0; oldest-client=0.4.0", "0.3.9", False),
        ("0.5.0; oldest-client=0.4.0", "0.6.0", True),
        ("0.5.0; oldest-client=0.4.0", "0.7.0", False),
        ("0.9.0; oldest-client=0.8.0", "1.0.1", True),
        ("0.9.0; oldest-client=0.8.0", "1.1.0", False),
        ("0.9.0; oldest-client=0.8.0", "2.0.0", False),
        ("2.0.0; oldest-client=1.9.0", "1.9.0", True),
        (None, "0.7.0", True),
        ("", "0.7.0", True),
        ("9.9.9", "0.7.0", True),
        ("9.9.9; oldest-client=\x1b[31m", "0.7.0", True),
        ("99999.0.0; oldest-client=99999.0.0", "0.7.0", True),
    ],
)
def test_the_window_is_one_release_on_either_side(told: str | None, own: str, within: bool) -> None:
    assert (outside(told, own=own) is None) is within


def test_a_service_outside_the_window_is_told_of_once_and_used_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heed.cache_clear()
    with peer(lambda _: Reply(headers={"Custody-Version": "97.0.0; oldest-client=96.0.0"})) as serving:
        transport = Transport(serving.url, "token")
        for one in (transport, transport, transport.twin()):
            assert one.ask(Request("GET", "/healthz")).code == 200
            one.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("the service is 97.0.0") == 1
    assert f"this is custody {__version__}" in told.err


def test_a_service_of_this_release_is_not_talked_about(capsys: pytest.CaptureFixture[str]) -> None:
    heed.cache_clear()
    told = f"{__version__}; oldest-client={__version__}"
    with peer(lambda _: Reply(headers={"Custody-Version": told})) as serving:
        transport = Transport(serving.url, "token")
        transport.ask(Request("GET", "/healthz"))
        transport.close()
    assert capsys.readouterr().err == ""
