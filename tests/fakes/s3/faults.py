"""The twenty-two ways in which the fake fails, and where it is told to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum

from tests.fakes.s3.messages import Answer, error_body


class Fault(Enum):
    """What goes wrong."""

    INTERNAL_ERROR = "500"
    SLOW_DOWN = "503 SlowDown"
    REFUSED = "connection refused"
    RESET_BEFORE_BODY = "reset before anything is done"
    RESET_AFTER_BODY = "reset in the middle of the answer"
    TIMEOUT = "no answer until long after the time-out"
    DRIP = "one byte now and then"
    TRUNCATED = "the answer ends early"
    BIT_FLIP = "one bit of the body is wrong"
    WRONG_LENGTH = "another length is announced"
    STALE_404 = "an object is shown late"
    ERROR_IN_200 = "status 200 with an error in the body"
    LOST_ANSWER = "done, and the answer lost"
    CONFLICT = "409"
    PRECONDITION = "412"
    FORBIDDEN = "403"
    SKEWED_CLOCK = "the clocks differ"
    DUPLICATE = "the request is delivered twice"
    FULL = "507"
    REPEATED_PAGE = "a page of a list comes again"
    REDIRECT = "a redirect to another place"
    HANG = "the connection stays open in silence"


_ANSWERS = {
    Fault.INTERNAL_ERROR: (500, "InternalError"),
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.STALE_404: (404, "NoSuchKey"),
    Fault.CONFLICT: (409, "ConditionalRequestConflict"),
    Fault.PRECONDITION: (412, "PreconditionFailed"),
    Fault.FORBIDDEN: (403, "AccessDenied"),
    Fault.SKEWED_CLOCK: (403, "RequestTimeTooSkewed"),
    Fault.FULL: (507, "InsufficientStorage"),
    Fault.ERROR_IN_200: (200, "InternalError"),
}


def instead(fault: Fault) -> Answer | None:
    """The answer that a fault gives in place of doing anything, if it is one of those."""
    if fault is Fault.REDIRECT:
        headers = {"Location": "http://127.0.0.1:9/elsewhere", "Content-Type": "application/xml"}
        return Answer(307, error_body("TemporaryRedirect"), headers)
    if fault not in _ANSWERS:
        return None
    status, code = _ANSWERS[fault]
    return Answer(status, error_body(code), {"Content-Type": "application/xml"})


@dataclass
class Plan:
    """Which faults are still to come, per operation; `*` is any."""

    coming: dict[str, list[Fault]] = field(default_factory=dict)
    met: list[tuple[str, Fault]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, operation: str, fault: Fault, *, times: int = 1) -> None:
        with self.lock:
            self.coming.setdefault(operation, []).extend([fault] * times)

    def take(self, operation: str) -> Fault | None:
        with self.lock:
            waiting = self.coming.get(operation) or self.coming.get("*")
            if not waiting:
                return None
            fault = waiting.pop(0)
            self.met.append((operation, fault))
            return fault

    def clear(self) -> None:
        with self.lock:
            self.coming.clear()
