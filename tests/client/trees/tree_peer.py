"""A small service for trees that believes everything: what it serves may be as evil as a test wants."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard

PART = 1 << 20


@dataclass
class Incoming:
    """An upload in parts."""

    sha256: str
    size: int
    parts: dict[int, bytes] = field(default_factory=dict)

    def page(self, name: str, part_size: object) -> dict[str, object]:
        """Say what has arrived."""
        page = {"upload": name, "state": "open", "part_size": part_size, "received": sorted(self.parts)}
        return {**page, "digest": f"sha256:{self.sha256}", "size": self.size}


@dataclass
class Shelf:
    """What the peer has, and what it was asked."""

    url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    layouts: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, tuple[str, int, int, int, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    break_off: int = 0
    refer_to: str = ""
    """Where blobs are said to lie for who may be redirected; what is asked there has no token."""
    torn: bool = False
    """Whether the body of such an answer is no body at all."""
    portal: bool = False
    """Whether this is a page that lets nobody through: 200, to every question for a blob."""
    tokens: list[str] = field(default_factory=list)
    uploads: dict[str, Incoming] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    refused_parts: set[int] = field(default_factory=set)
    """Numbers of parts whose connection is cut, each for two requests."""
    part_size: object = PART
    """What is said of the length of a part, whether it makes sense or not."""

    def missing(self, digests: list[str]) -> list[str]:
        return [one for one in digests if one not in self.places and one not in self.blobs]

    def propose(self, tree: str, packs: list[dict[str, Any]]) -> dict[str, object]:
        """Believe what is said of the packs, and lay the tree out."""
        for pack in packs:
            sha256 = pack["digest"].partition(":")[2]
            for frame in pack["frames"]:
                at, plain = 0, sum(size for _, size in frame["files"])
                for digest, size in frame["files"]:
                    self.places[digest] = (sha256, frame["offset"], frame["length"], plain, at)
                    at += size
        lines = zstandard.ZstdDecompressor().decompress(self.manifests[tree]).split(b"\n")[1:-1]
        missing: list[str] = []
        frames: dict[tuple[str, int, int, int], list[tuple[int, int]]] = {}
        for number, line in enumerate(lines):
            digest, size = line.split()[2].decode(), int(line.split()[3])
            if digest in self.places:
                *frame, at = self.places[digest]
                frames.setdefault(tuple(frame), []).append((at, number))
            elif size and digest not in self.blobs:
                missing.append(digest)
        if missing:
            return {"digest": tree, "state": "incomplete", "missing": missing[:100]}
        self.layouts[tree] = zstandard.compress(self._layout(tree, frames))
        return {"digest": tree, "state": "present"}

    def _layout(self, tree: str, frames: dict[tuple[str, int, int, int], list[tuple[int, int]]]) -> bytes:
        packs = sorted({frame[0] for frame in frames})
        text = f"custody-layout/v1 {tree}\n"
        text += "".join(f"p {pack} {len(self.blobs[pack])}\n" for pack in packs)
        for (pack, offset, length, plain), entries in sorted(frames.items()):
            text += f"r {packs.index(pack)} {offset} {length} {plain}\n"
            text += "".join(f"{number} {at}\n" for at, number in sorted(entries))
        return text.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        shelf = self.server.shelf
        shelf.asked.append(f"GET {self.path} {self.headers.get('Range', '')}".strip())
        shelf.tokens.append(self.headers.get("Authorization", ""))
        parts = self.path.partition("?")[0].split("/")
        hexes = parts[3].partition(":")[2]
        if shelf.refer_to and self.path.endswith("?redirect=1"):
            place = f"{shelf.refer_to}{self.path.partition('?')[0]}?signature=good"
            self._refer(place)
        elif shelf.portal and parts[2] == "blobs":
            self._send(b"<html>Please log in</html>" * 100_000)
        elif parts[3] == "uploads":
            self._send(json.dumps(shelf.uploads[parts[4]].page(parts[4], shelf.part_size)).encode())
        elif parts[2] == "blobs":
            self._blob(shelf.blobs.get(hexes))
        elif parts[-1] in ("manifest", "layout"):
            self._send((shelf.manifests if parts[-1] == "manifest" else shelf.layouts).get(hexes))
        elif hexes in shelf.manifests:
            state = "present" if hexes in shelf.layouts else "incomplete"
            self._send(json.dumps({"digest": f"sha256:{hexes}", "state": state}).encode())
        else:
            self._send(None)

    def do_PUT(self) -> None:
        shelf = self.server.shelf
        shelf.asked.append(f"PUT {self.path}")
        if self.path.startswith("/v1/blobs/uploads/"):
            self._part()
            return
        shelf.manifests[self.path.split("/")[3].partition(":")[2]] = self._body()
        self._send(b"{}")

    def do_POST(self) -> None:
        shelf = self.server.shelf
        shelf.asked.append(f"POST {self.path}")
        body = self._body()
        if self.path.startswith("/v1/blobs/uploads") and self.path != "/v1/blobs/uploads":
            self._upload(json.loads(body))
        elif self.path == "/v1/blobs/uploads":
            sha256 = hashlib.sha256(body).hexdigest()
            shelf.blobs[sha256] = body
            self._send(json.dumps({"digest": f"sha256:{sha256}"}).encode())
        elif self.path.startswith("/v1/steps/"):
            shelf.outputs += json.loads(body)["outputs"]
            self._send(b"{}")
        elif self.path == "/v1/trees/missing":
            self._send(json.dumps({"missing": shelf.missing(json.loads(body)["digests"])}).encode())
        else:
            tree = self.path.split("/")[3].partition(":")[2]
            self._send(json.dumps(shelf.propose(tree, json.loads(body)["packs"])).encode())

    def _refer(self, place: str) -> None:
        if not self.server.shelf.torn:
            self._send(b"", code=307, headers={"Location": place})
            return
        self.send_response(307)
        self.send_header("Location", place)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"no length of a chunk\r\n")
        self.close_connection = True

    def _part(self) -> None:
        """Take in one part, or cut the connection where a test wants it."""
        shelf, name = self.server.shelf, self.path.split("/")[4]
        number, body = int(self.path.split("/")[-1]), self._body()
        if number in shelf.refused_parts:
            if shelf.asked.count(f"PUT {self.path}") == 2:
                shelf.refused_parts.discard(number)
            self.close_connection = True
            return
        shelf.uploads[name].parts[number] = body
        self._send(json.dumps({"number": number, "size": len(body)}).encode())

    def _upload(self, body: dict[str, Any]) -> None:
        """Announce an upload, or complete one."""
        shelf = self.server.shelf
        if self.path.endswith("?resumable=1"):
            name = f"U{len(shelf.uploads)}"
            shelf.uploads[name] = Incoming(body["digest"].partition(":")[2], body["size"])
            self._send(json.dumps(shelf.uploads[name].page(name, shelf.part_size)).encode(), code=201)
            return
        incoming = shelf.uploads[self.path.split("/")[4]]
        whole = b"".join(content for _, content in sorted(incoming.parts.items()))
        if hashlib.sha256(whole).hexdigest() == incoming.sha256:
            shelf.blobs[incoming.sha256] = whole
            self._send(json.dumps({"state": "present"}).encode())
        else:
            self._send(json.dumps({"state": "refused", "reason": "other bytes"}).encode())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _blob(self, content: bytes | None) -> None:
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if content is None or not asked:
            self._send(content)
            return
        start, _, last = asked.partition("-")
        piece = content[int(start) : int(last) + 1 if last else None]
        self._send(piece, code=206, headers={"Content-Range": f"bytes {start}-{last}/{len(content)}"})

    def _send(self, body: bytes | None, *, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(404 if body is None else code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        shelf = self.server.shelf
        if code == 206 and shelf.break_off and body:
            shelf.break_off -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shelf = Shelf(f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def tree_peer() -> Iterator[Shelf]:
    """Run the peer."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.shelf
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
