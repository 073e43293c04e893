"""Clients that retry everything, and remember what they were promised."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.attacks.actors import content_digest
from tests.running_service import Running
from tests.service import reference, sha256

_GIVE_UP_SECONDS = 90


@dataclass
class Promised:
    """What the service acknowledged; all of it must be there afterwards."""

    blobs: dict[str, int] = field(default_factory=dict)
    """Sizes by digest; a long run uploads more than the memory holds."""
    steps: dict[str, str] = field(default_factory=dict)
    """Finished steps and their outcome."""
    refused: list[str] = field(default_factory=list)
    """Answers that no retry may lead to."""
    retries: int = 0


@dataclass
class Client(threading.Thread):
    """Does steps, one after the other, until told to stop; never leaves one half done."""

    running: Running
    seed: int
    stop: threading.Event
    promised: Promised = field(default_factory=Promised)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.random = random.Random(self.seed)
        self.token = self.running.token

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.stop.is_set():
            if self.random.random() < 0.6:
                self._step()
            else:
                self._record()

    def _id(self) -> str:
        alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        return "01M8" + "".join(self.random.choices(alphabet, k=22))

    def _step(self) -> None:
        id_, token = self._id(), f"cst_{self.random.getrandbits(256):064x}"
        body = {"id": id_, "token_sha256": sha256(token.encode()), "name": "kill"}
        self._insist("POST", "/v1/steps", body)
        known = list(self.promised.blobs)
        if known:
            used = self.random.sample(known, min(len(known), 2))
            refs = [{"digest": {"sha256": digest.partition(":")[2]}, "name": digest[-8:]} for digest in used]
            self._insist("POST", f"/v1/steps/{id_}/inputs", {"inputs": refs}, token=token)
        for number in range(self.random.randint(1, 3)):
            size = self.random.choice([0, 10, 5_000, 300_000, 1_500_000])
            content = self.random.randbytes(size)
            headers = {"Content-Digest": content_digest(content)}
            self._insist("PUT", f"/v1/steps/{id_}/outputs/o{number}", content, token=token, headers=headers)
            self.promised.blobs[f"sha256:{sha256(content)}"] = size
        outcome = self.random.choice(["succeeded", "succeeded", "failed"])
        self._insist("POST", f"/v1/steps/{id_}/finish", {"outcome": outcome}, token=token)
        self.promised.steps[id_] = outcome

    def _record(self) -> None:
        id_ = self._id()
        outputs = [reference(id_.encode() + bytes([n]), name=f"r{n}") for n in range(3)]
        body = {"id": id_, "name": "record", "outcome": "succeeded", "outputs": outputs}
        self._insist("POST", "/v1/records", body, headers={"Idempotency-Key": id_})
        self.promised.steps[id_] = "succeeded"

    def _insist(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, object],
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send until it is acknowledged, whatever dies meanwhile."""
        until = time.monotonic() + _GIVE_UP_SECONDS
        status, answer = 0, b""
        while time.monotonic() < until:
            try:
                status, answer = self.running.ask(
                    method, path, body, token=token or self.token, headers=headers
                )
            except OSError as error:
                status, answer = 0, repr(error).encode()
            if 200 <= status < 300:
                return
            if status and status < 500:
                self.promised.refused.append(f"{method} {path} {status} {answer[:300]!r}")
                return
            self.promised.retries += 1
            time.sleep(0.05)
        self.promised.refused.append(f"{method} {path} never taken in, {status} {answer[:300]!r} in the end")
