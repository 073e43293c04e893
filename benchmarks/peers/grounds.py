"""What both peers stand on: a database and a place for durable objects, as `PEER_*` names them.

The comparison is fair because nothing here promises less than ours: SQLite in WAL mode with
`synchronous=FULL`, PostgreSQL as its server is set, and an object that is on the disk, with
its name, or that the S3 server has acknowledged, before anything is answered.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types
import botocore.config  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import Engine, create_engine, event

THREADS = 40
"""As many as Starlette runs sync routes in."""

Keep = Callable[[Mapping[str, object]], str]
"""Writes a record under its digest and returns that, once it is durable."""


@dataclass(frozen=True, slots=True)
class Ground:
    """An engine, whose turn it is to write with it, and where objects are kept."""

    engine: Engine
    turn: AbstractContextManager[Any]  # Any: a lock enters with a bool, no lock with nothing
    """Of SQLite's writers one waits for a lock of this process: its own busy loop would only slow it down."""
    keep: Keep


def ground(environment: Mapping[str, str] = os.environ) -> Ground:
    """What `PEER_DATABASE`, `PEER_DATA` and `PEER_S3_*` name; without them, files in the folder."""
    top = Path(environment["PEER_DATA"])
    top.mkdir(parents=True, exist_ok=True)
    url = environment.get("PEER_DATABASE", f"sqlite:///{top / 'index.db'}")
    turn = threading.Lock() if url.startswith("sqlite") else contextlib.nullcontext()
    return Ground(_engine(url), turn, _keeper(top, environment))


def _engine(url: str) -> Engine:
    lite = url.startswith("sqlite")
    # Twice as many connections as threads: a route may read in one session and write in another.
    engine = create_engine(
        url, pool_size=THREADS * 2, connect_args={"check_same_thread": False} if lite else {}
    )
    if lite:
        event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _record: object) -> None:  # Any: the driver's own connection
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")


def _keeper(top: Path, environment: Mapping[str, str]) -> Keep:
    if "PEER_S3_BUCKET" not in environment:
        objects = top / "objects"
        objects.mkdir()
        return lambda record: _written(objects, *_named(record))
    bucket, client = environment["PEER_S3_BUCKET"], _client(environment)

    def keep(record: Mapping[str, object]) -> str:
        content, digest = _named(record)
        client.put_object(Bucket=bucket, Key=f"{environment['PEER_S3_PREFIX']}/{digest}", Body=content)
        return digest

    return keep


def _client(environment: Mapping[str, str]) -> Any:  # Any: boto3 makes its clients while it runs
    return boto3.client(
        "s3",
        endpoint_url=environment["PEER_S3_ENDPOINT"],
        aws_access_key_id=environment["PEER_S3_ACCESS_KEY"],
        aws_secret_access_key=environment["PEER_S3_SECRET_KEY"],
        region_name="us-east-1",
        # Its own ten would make thirty threads wait for each other.
        config=botocore.config.Config(max_pool_connections=THREADS),
    )


def _named(record: Mapping[str, object]) -> tuple[bytes, str]:
    content = json.dumps(record, sort_keys=True).encode()
    return content, hashlib.sha256(content).hexdigest()


def _written(objects: Path, content: bytes, digest: str) -> str:
    with (objects / digest).open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    descriptor = os.open(objects, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest


def hashed(token: str) -> bytes:
    """What the tables have of a token."""
    return hashlib.sha256(token.encode()).digest()
