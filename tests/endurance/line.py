"""A connection that stays open, as clients under load have it."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

Body = bytes | Mapping[str, object] | None


@dataclass
class Line:
    """Asks one api, again and again."""

    port: int
    token: str
    _open: http.client.HTTPConnection | None = field(default=None, init=False)

    def ask(self, method: str, path: str, body: Body = None, *, token: str = "") -> tuple[int, bytes]:
        """One request; on a connection that was closed meanwhile it is sent once more, on a new one."""
        content = orjson.dumps(body) if isinstance(body, Mapping) else body
        sent = {"Authorization": f"Bearer {token or self.token}"}
        if self._open is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._asked(self._open, method, path, content, sent)
            self.close()
        self._open = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        return self._asked(self._open, method, path, content, sent)

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        content: bytes | None,
        sent: dict[str, str],
    ) -> tuple[int, bytes]:
        connection.request(method, path, body=content, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open.close()
        self._open = None
