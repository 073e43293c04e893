"""The clients of a soak: they read, write, ask and give up, and hold the service to what it told them."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.endurance.garbage import NAMES
from tests.endurance.ledger import Content, Ledger
from tests.endurance.line import Body, Line
from tests.running_service import parsed
from tests.service import reference, sha256

MIX: Final = {"read": 60, "write": 25, "query": 10, "retention": 5}
"""Of a hundred operations."""
_SIZES: Final = (0, 100, 2_000, 2_000, 10_000, 10_000, 60_000, 300_000)
_GIVE_UP_SECONDS: Final = 60
_AHEAD: Final = 2
"""How many collections' worth of turns are handed out before these are done: so both go on at once."""


@dataclass
class Score:
    """What all clients saw."""

    operations: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in MIX})
    statuses: Counter[int] = field(default_factory=Counter)
    being_removed: int = 0
    """503 because the bytes were being removed at the moment; sent again."""
    wrong: list[str] = field(default_factory=list)
    """Answers that must not be."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, what: str, status: int, answer: bytes) -> None:
        """Note an answer that must not be."""
        with self.lock:
            self.wrong.append(f"{what}: {status} {answer[:300]!r}")


class Pace:
    """Hands out turns evenly over some time, and no faster than there are collections beside them."""

    def __init__(self, operations: int, seconds: float, collections: int) -> None:
        self._operations = operations
        self._seconds = seconds
        self._each = operations / collections
        self._given = 0
        self._ahead = _AHEAD * self._each
        self._changed = threading.Condition()
        self.began = time.monotonic()

    def collected(self) -> None:
        """There was one more collection."""
        with self._changed:
            self._ahead += self._each
            self._changed.notify_all()

    def turn(self) -> bool:
        """Wait for the next turn; False where there is none any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._given < min(self._ahead, self._operations) or self._is_over)
            if self._is_over:
                return False
            due = self.began + self._seconds * self._given / self._operations
            self._given += 1
        time.sleep(max(0.0, due - time.monotonic()))
        return True

    @property
    def _is_over(self) -> bool:
        return self._given >= self._operations


class Client(threading.Thread):
    """One of many; each request is an operation."""

    def __init__(self, line: Line, ledger: Ledger, score: Score, pace: Pace, *, seed: int) -> None:
        super().__init__(daemon=True)
        self._line, self._ledger, self._score, self._pace = line, ledger, score, pace
        self._chance = random.Random(seed)
        self._kind = "write"
        self._steps: list[str] = []
        self._open: dict[str, str] = {}
        """Steps under way, and their tokens."""
        self._sender = self._step_id(), f"cst_{self._chance.getrandbits(256):064x}"
        """A step that is open all the time; its token sends what nobody will name."""
        self._doing: dict[str, Iterator[None]] = {
            "read": self._reads(),
            "write": self._writes(),
            "query": self._queries(),
            "retention": self._retains(),
        }
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Do one operation after the other, of any kind."""
        try:
            self._begin(*self._sender)
            while self._pace.turn():
                (self._kind,) = self._chance.choices(list(MIX), list(MIX.values()))
                next(self._doing[self._kind])
                with self._score.lock:
                    self._score.operations[self._kind] += 1
            for step, token in list(self._open.items()):
                self._finish(step, token)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._line.close()

    def write_once(self) -> None:
        """One upload, so that there is something to be read."""
        self._upload(self._new())

    # Operations

    def _reads(self) -> Iterator[None]:
        while True:
            # Some of what may be gone: then it is not there, and never wrong.
            among = self._ledger.given_up if self._chance.random() < 0.05 else self._ledger.some
            found = among(self._chance, 1) or self._ledger.some(self._chance, 1)
            self._read(found[0])
            yield

    def _writes(self) -> Iterator[None]:
        while True:
            for _ in range(4):
                self._upload(self._new())
                yield
            for _ in range(2):
                self._record()
                yield
            for act in self._a_step():
                act()
                yield

    def _a_step(self) -> Iterator[Callable[[], None]]:
        step, token = self._step_id(), f"cst_{self._chance.getrandbits(256):064x}"
        yield lambda: self._begin(step, token)
        yield lambda: self._output(step, token, "o")
        yield lambda: self._finish(step, token)
        self._steps.append(step)

    def _queries(self) -> Iterator[None]:
        while True:
            some = self._ledger.some(self._chance, 20)
            digest = some[0].digest
            told = self._insist("POST", "/v1/blobs/missing", {"digests": [one.digest for one in some]})
            if told and parsed(told)["missing"]:
                self._score.fail("told to be missing", 200, told)
            yield
            for path in ("", "/attestations", "/lineage?direction=down&depth=2"):
                self._insist("GET", f"/v1/artifacts/{digest}{path}")
                yield
            self._insist("GET", f"/v1/artifacts?name={NAMES}1&limit=20")
            yield
            if self._steps:
                self._insist("GET", f"/v1/steps/{self._chance.choice(self._steps)}")
                yield

    def _retains(self) -> Iterator[None]:
        while True:
            chosen = self._chance.random()
            lately = self._ledger.given_up(self._chance, 5)
            if chosen < 0.25 or not lately:
                self._send_unnamed()
            elif chosen < 0.45:
                content = self._new()
                self._insist("POST", "/v1/blobs/uploads", content.bytes)
                yield
                self._name_it(content)
            elif chosen < 0.85:
                self._upload(lately[0])
            else:
                self._ask_whether_missing(lately)
            yield

    # Requests

    def _new(self) -> Content:
        return Content.made(next(self._score.numbers), self._chance.choice(_SIZES) + 16)

    def _step_id(self) -> str:
        return "01M8" + "".join(self._chance.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=22))

    def _read(self, content: Content) -> None:
        must = self._ledger.is_promised(content)
        status, got = self._ask("GET", f"/v1/blobs/{content.digest}")
        if status == 404 and not must:
            return
        if status != 200 or sha256(got) != content.hex:
            self._score.fail(f"GET {content.digest}, promised: {must}", status, got)

    def _upload(self, content: Content) -> None:
        if self._insist("POST", "/v1/blobs/uploads", content.bytes):
            self._ledger.promise(content)

    def _record(self) -> None:
        id_ = self._step_id()
        outputs = [reference(id_.encode() + bytes([n]), name=f"r{n}") for n in range(3)]
        body = {"id": id_, "name": "record", "outcome": "succeeded", "outputs": outputs}
        self._insist("POST", "/v1/records", body)
        self._steps.append(id_)

    def _begin(self, step: str, token: str) -> None:
        body = {"id": step, "token_sha256": sha256(token.encode()), "name": "soak"}
        self._insist("POST", "/v1/steps", body)
        self._open[step] = token

    def _output(self, step: str, token: str, name: str) -> None:
        content = self._new()
        if self._insist("PUT", f"/v1/steps/{step}/outputs/{name}", content.bytes, token=token):
            self._ledger.promise(content)

    def _finish(self, step: str, token: str) -> None:
        self._insist("POST", f"/v1/steps/{step}/finish", {"outcome": "succeeded"}, token=token)
        del self._open[step]

    def _send_unnamed(self) -> None:
        content = self._new()
        if self._insist("POST", "/v1/blobs/uploads", content.bytes, token=self._sender[1]):
            self._ledger.send(content)

    def _name_it(self, content: Content) -> None:
        said = reference(content.bytes, uri=f"https://example.com/{content.number}")
        if self._insist("POST", "/v1/artifacts", {**said, "name": f"{NAMES}{content.number % 1000}"}):
            self._ledger.send(content)

    def _ask_whether_missing(self, contents: list[Content]) -> None:
        """Who is told that bytes are here does not send them, so they must stay."""
        told = self._insist("POST", "/v1/blobs/missing", {"digests": [one.digest for one in contents]})
        if told:
            missing = set(parsed(told)["missing"])
            self._ledger.promise(*(one for one in contents if one.digest not in missing))

    def _insist(self, method: str, path: str, body: Body = None, *, token: str = "") -> bytes:
        """The answer to what must be taken in, sometimes only once a removal is over; empty if it is not."""
        until = time.monotonic() + _GIVE_UP_SECONDS
        while True:
            status, answer = self._ask(method, path, body, token=token)
            if 200 <= status < 300:
                return answer
            if not _is_being_removed(status, answer) or time.monotonic() > until:
                self._score.fail(f"{method} {path}", status, answer)
                return b""
            with self._score.lock:
                self._score.being_removed += 1
            time.sleep(0.1)

    def _ask(self, method: str, path: str, body: Body = None, *, token: str = "") -> tuple[int, bytes]:
        began = time.perf_counter()
        status, answer = self._line.ask(method, path, body, token=token)
        took = time.perf_counter() - began
        with self._score.lock:
            self._score.seconds[self._kind].append(took)
            self._score.statuses[status] += 1
        if status >= 500 and not _is_being_removed(status, answer):
            self._score.fail(f"{method} {path}", status, answer)
        return status, answer


def _is_being_removed(status: int, answer: bytes) -> bool:
    return status == 503 and b"#being-removed" in answer
