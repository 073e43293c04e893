"""Serve git repositories over loopback HTTP, through git's own `http-backend`.

A CGI bridge of one purpose: Python is giving up its own CGI server, and a demonstration that clones
over HTTP should not need a web server to be installed. Read-only: pushing is left off.
"""

import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_BODY_LIMIT = 4 * 1024 * 1024


class GitServer(ThreadingHTTPServer):
    """Answers git's smart HTTP protocol for every repository below `root`, on 127.0.0.1."""

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Bridge)
        self.root = root

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Bridge(BaseHTTPRequestHandler):
    server: GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        try:
            length = int(self.headers["Content-Length"])
        except (TypeError, ValueError):
            self.send_error(411)
            return
        if not 0 <= length <= _BODY_LIMIT:
            self.send_error(413)
            return
        self._answer(self.rfile.read(length))

    def _answer(self, body: bytes) -> None:
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self._environment(len(body)),
            stdout=subprocess.PIPE,
            check=False,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.partition(": ") for line in head.decode("latin-1").split("\r\n") if line]
        status = next(
            (value for name, _, value in fields if name == "Status"), "200 OK" if fields else "500 Failed"
        )
        self.send_response(int(status[:3]))
        for name, _, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _environment(self, length: int) -> dict[str, str]:
        """Name the request as RFC 3875 does; nothing of our own environment goes along but PATH."""
        url = urlsplit(self.path)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the demonstration prints what matters."""
