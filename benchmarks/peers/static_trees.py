"""The ceiling of a checkout: the answers that it needs as files, sent by the kernel, and no service."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zstandard


@contextmanager
def serving(root: Path, url: str, token: str, tree: str) -> Iterator[str]:
    """Copy what the service at `url` answers about `tree` into files, and serve these on loopback."""
    server = _Server(_copied(root, url, token, tree))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _copied(root: Path, url: str, token: str, tree: str) -> dict[str, Path]:
    """Fetch state, manifest, layout and packs of `tree`; return the files by the paths they answer to."""
    files: dict[str, Path] = {}
    root.mkdir(parents=True)

    def copy(path: str) -> bytes:
        request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - the address is our own
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the address is our own
            content: bytes = answer.read()
        files[path] = root / str(len(files))
        files[path].write_bytes(content)
        return content

    for path in ("", "/manifest"):
        copy(f"/v1/trees/{tree}{path}")
    layout = copy(f"/v1/trees/{tree}/layout")
    with zstandard.ZstdDecompressor().stream_reader(layout) as reader:
        lines = reader.read().decode().splitlines()
    for line in lines:
        if line.startswith("p "):
            copy(f"/v1/blobs/sha256:{line.split()[1]}")
    return files


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, files: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Files)
        self.files = files


class _Files(BaseHTTPRequestHandler):
    """Sends files and ranges of them with `sendfile`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        path = self.server.files.get(self.path.partition("?")[0])
        if path is None:
            self.send_error(404)
            return
        with path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            start, end = self._range(size)
            self.send_response(206 if end - start < size else 200)
            self.send_header("Content-Length", str(end - start))
            if end - start < size:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.send_header("Content-Type", "application/json" if size < 1000 else "application/zstd")
            self.end_headers()
            self.wfile.flush()
            with suppress(BrokenPipeError, ConnectionResetError):
                while start < end:
                    start += os.sendfile(self.connection.fileno(), stream.fileno(), start, end - start)

    def _range(self, size: int) -> tuple[int, int]:
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        return int(first or 0), min(int(last) + 1, size) if last else size

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
