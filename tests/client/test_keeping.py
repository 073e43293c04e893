"""Many outputs go up at once: each ends as it would alone, and all end together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from custody.bodies import Content
from custody.contents import hashed
from custody.errors import RefusedError, UnreachableError
from custody.products import Produced
from custody.recording import Recording, begin
from custody.service import Service
from custody.spool.location import Spool
from custody.team import CONNECTIONS, Team
from custody.transport import AbandonedError, Patience, Request, Transport
from tests.client.stub import Reply, peer
from tests.client.test_recording import problem

MANY = 60
HASTY = Patience(attempts=2, timeout=30, first_pause=0.001, longest_pause=0.001, total=30)


def _made(place: Path, count: int = MANY) -> list[Produced]:
    for number in range(count):
        (place / f"f{number}").write_text(str(number))
    return [Produced(f"f{number}", hashed(place / f"f{number}")) for number in range(count)]


class Receiving:
    """A service that lacks everything and takes it, but for what `instead` says of a name."""

    def __init__(self, produced: list[Produced], instead: Callable[[str], Reply | None]) -> None:
        self._missing = json.dumps({"missing": sorted({one.file.digest for one in produced})}).encode()
        self._stored = {one.name: one.file.sha256 for one in produced}
        self._instead = instead

    def __call__(self, path: str) -> Reply:
        if path == "/v1/blobs/missing":
            return Reply(body=self._missing)
        name = path.rpartition("/outputs/")[2]
        if name not in self._stored:
            return Reply(body=b'{"id": "01STEP", "state": "open"}')
        found = self._instead(name)
        return found or Reply(201, json.dumps({"digest": {"sha256": self._stored[name]}}).encode())


@contextmanager
def _recording(url: str) -> Iterator[Recording]:
    with Service(Transport(url, "token")) as project:
        recording = Recording(project, "01STEP", "cst_token", {})
        try:
            yield recording
        finally:
            recording.close()


def test_many_outputs_share_a_few_connections_and_keep_their_order(tmp_path: Path) -> None:
    made, sent = _made(tmp_path), list[int]()
    with peer(Receiving(made, lambda _: None)) as there, _recording(there.url) as recording:
        kept = recording.keep(made, sent=sent.append)
    assert [(one.name, one.digest, one.how) for one in kept] == [
        (one.name, one.file.digest, "stored") for one in made
    ]
    assert sum(sent) == sum(one.file.size for one in made)
    put = [asked for asked in there.asked if asked.method == "PUT"]
    assert sorted(asked.body for asked in put) == sorted(str(number).encode() for number in range(MANY))
    assert {asked.headers["authorization"] for asked in put} == {"Bearer cst_token"}
    assert 2 <= there.connections <= CONNECTIONS + 1


def test_of_many_one_that_is_refused_keeps_no_other_out(tmp_path: Path) -> None:
    made = _made(tmp_path)
    refusing = Receiving(made, lambda name: problem(409, "conflict") if name == "f9" else None)
    with peer(refusing) as there, _recording(there.url) as recording:
        kept = recording.keep(made)
    assert [one.name for one in kept if not one.stored] == ["f9"]


def test_a_refusal_of_the_step_ends_all_of_them(tmp_path: Path) -> None:
    made, released = _made(tmp_path), threading.Event()

    def instead(name: str) -> Reply | None:
        if name == "f3":
            return problem(409, "step-finished")
        released.wait(60)
        return None

    with peer(Receiving(made, instead)) as there, _recording(there.url) as recording:
        with pytest.raises(RefusedError) as caught:
            recording.keep(made)
        released.set()
    assert caught.value.slug == "step-finished"
    assert len([asked for asked in there.asked if asked.method == "PUT"]) <= CONNECTIONS


def test_a_content_that_is_refused_under_one_name_is_sent_under_the_next(tmp_path: Path) -> None:
    made = _made(tmp_path, 1)
    made.append(Produced("another", made[0].file))
    refusing = Receiving(made, lambda name: problem(409, "conflict") if name == "f0" else None)
    with peer(refusing) as there, _recording(there.url) as recording:
        first, second = recording.keep(made)
    assert (first.stored, second.how) == (False, "stored")


def test_a_service_that_goes_away_between_many_outputs_leaves_the_step_whole(tmp_path: Path) -> None:
    place = tmp_path / "work"
    place.mkdir()
    made = _made(place)
    gone = Receiving(made, lambda name: Reply(drop=True) if int(name[1:]) > MANY // 2 else None)
    spool = Spool(tmp_path / "spool", 1 << 30)
    with peer(gone) as there, Service(Transport(there.url, "token", patience=HASTY)) as project:
        recording = begin(project, {"name": "x"}, run=None, spool=spool)
        recording._own.transport.patience = HASTY  # once begun it would be patient
        kept = recording.keep(made)
        assert isinstance(recording.absence, UnreachableError)
        recording.finish({"outcome": "succeeded"})
        recording.close()
    assert [one.name for one in kept] == [one.name for one in made]
    (entry,) = spool.entries.iterdir()
    outputs = {one["name"]: one for one in json.loads((entry / "entry.json").read_text())["outputs"]}
    assert set(outputs) == {one.name for one in made}
    put = {asked.path.rpartition("/")[2] for asked in there.asked if asked.method == "PUT"}
    for one in made:
        here = (entry / one.file.sha256).exists()
        assert here or (one.name in put and int(one.name[1:]) <= MANY // 2)


def test_who_closes_the_results_waits_for_no_answer(tmp_path: Path) -> None:
    made, released, reached = _made(tmp_path), threading.Event(), threading.Event()

    def instead(name: str) -> Reply | None:
        if name == "f0":
            reached.set()
            released.wait(60)
        return None

    def work(service: Service, one: Produced) -> str:
        content: Content = one.file.content()
        return service.put_output("01STEP", one.name, content, one.file.sha256)

    before = threading.active_count()
    with peer(Receiving(made, instead)) as there:
        services = [Service(Transport(there.url, "token")) for _ in range(3)]
        with closing(Team(services, work).results(made)) as results:
            next(results)
            assert reached.wait(60)
        assert not any("_labour" in one.name for one in threading.enumerate())
        released.set()
    assert threading.active_count() <= before


def test_an_abandoned_transport_neither_pauses_nor_asks(tmp_path: Path) -> None:
    reached = threading.Event()
    caught: list[BaseException] = []

    def answer(_: str) -> Reply:
        reached.set()
        return Reply(503, headers={"Retry-After": "30"})

    def ask(transport: Transport) -> None:
        try:
            transport.ask(Request("GET", "/"))
        except BaseException as error:
            caught.append(error)

    with peer(answer) as there:
        transport = Transport(there.url, None)
        asking = threading.Thread(target=ask, args=(transport,))
        asking.start()
        assert reached.wait(60)
        transport.abandon()
        asking.join(20)
        assert not asking.is_alive()
        ask(transport)
        transport.close()
    assert [type(one) for one in caught] == [AbandonedError, AbandonedError]
    assert len(there.asked) == 1
