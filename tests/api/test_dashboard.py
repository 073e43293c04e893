"""Every metric that the dashboard draws and the documentation names is shown by a running service, and no other."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.house.tree import read
from tests.running_service import Running, free_port

pytestmark = pytest.mark.slow
_NAME = re.compile(r"\b(?:custody|process)_[a-z0-9_]+\b")
_ROW = re.compile(r"^\| `(custody_\w+)` \| ([a-z, ]+) \|", re.MULTILINE)
_SERIES = ("_bucket", "_sum", "_count", "_created")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The names that each process of a running service shows."""
    port = free_port()
    settings = {"CUSTODY_METRICS_LISTEN": f"127.0.0.1:{port}"}
    service = Running(tmp_path_factory.mktemp("running") / "data", settings=settings)
    service.start()
    try:
        service.wait_ready(60)
        assert service.ask("POST", "/v1/records", {"name": "x", "outcome": "succeeded"})[0] == 201
        texts = {
            "api": service.ask("GET", "/metrics")[1].decode(),
            "signer": asked(port),
            "worker": asked(port + 1),
        }
        yield {name: set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)) for name, text in texts.items()}
    finally:
        service.stop()


def asked(port: int, seconds: float = 30) -> str:
    """What a process shows at a port, once it listens."""
    deadline = time.monotonic() + seconds
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        finally:
            connection.close()


def told() -> dict[str, set[str]]:
    """The metrics of the table, each with the processes that show it."""
    rows = dict(_ROW.findall(read("docs/operating.md")))
    everybody = {"api", "signer", "worker"}
    return {name: everybody if who == "all" else set(who.split(", ")) for name, who in rows.items()}


def test_the_documentation_names_what_each_process_shows(shown: dict[str, set[str]]) -> None:
    for process, names in shown.items():
        own = {name for name in names if name.startswith("custody_") and not name.endswith(_SERIES)}
        assert own == {name for name, who in told().items() if process in who}, process


def test_the_dashboard_draws_what_there_is(shown: dict[str, set[str]]) -> None:
    everything = set().union(*shown.values())
    panels = json.loads(read("docs/grafana/custody.json"))["panels"]
    drawn = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in _NAME.findall(re.sub(r"\{[^}]*\}", "", target["expr"]))
    }
    assert {re.sub(r"_bucket$", "", name) for name in drawn} - everything == set()
    assert len({panel["id"] for panel in panels}) == len(panels)
    # All but how much was scrubbed in objects is drawn.
    documented = {name for name in told() if name not in {"custody_scrub_objects_total"}}
    assert documented - {re.sub(r"_bucket$", "", name) for name in drawn} == set()


def test_every_variable_of_the_dashboard_is_defined() -> None:
    text = read("docs/grafana/custody.json")
    defined = {one["name"] for one in json.loads(text)["templating"]["list"]}
    assert set(re.findall(r"\$\{(\w+)\}", text)) == defined
