"""P11: many small files up, beside boto3 with one object each, into the same S3 server."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it has no types

from artifacts.storage.s3 import Access
from benchmarks.commands import environment, put
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_least
from benchmarks.rounds import Scale, interleaved
from benchmarks.servers import Service, all_three
from tests import ceph
from tests.fakes.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, a_fake_s3

_FILES, _SIZE = 5_000, 10_000


@dataclass(slots=True)
class Anew:
    """Sends new files each time: what a service has already it does not take again."""

    place: Path
    count: int
    send: Callable[[Sequence[Path]], None]
    used: int = 0

    def __call__(self) -> float:
        """Make the files, send them, and return how many went in a second."""
        self.used += 1
        folder = self.place / str(self.used)
        folder.mkdir(parents=True)
        files = [folder / f"file{number:05}" for number in range(self.count)]
        for file in files:
            file.write_bytes(os.urandom(_SIZE))
        began = time.perf_counter()
        self.send(files)
        return self.count / (time.perf_counter() - began)


def measure(scale: Scale) -> list[Result]:
    """Send them through a service whose store is the server, and straight to the server."""
    top = Path(tempfile.mkdtemp(prefix="small-", dir=scale.directory))
    count = min(scale.files, _FILES)
    try:
        with _server(top, real=scale.real) as (name, access), _service(top, access) as service:
            env, client = environment(service, top), _client(access)
            ours = Anew(top / "ours", count, lambda files: _put_tree(files, env))
            peer = Anew(top / "peer", count, lambda files: _put_each(client, access.bucket, files))
            mine, one_by_one = interleaved(ours, peer, rounds=min(scale.rounds, 2))
            client.close()
        place = file_system(top)
    finally:
        shutil.rmtree(top)
    return [
        Result(
            "P11",
            f"upload of {count:,} files of {_SIZE:,} bytes, by way of a service whose store is {name}",
            Measured("custody put", mine, "/s"),
            Measured(f"boto3 put_object, one by one, straight to {name}", one_by_one, "/s"),
            place,
            [at_least(10)],
            ["ours ends when the worker of the service has decoded and hashed every file"],
        )
    ]


def _put_tree(files: Sequence[Path], env: dict[str, str]) -> None:
    put(files[0].parent, env)


def _put_each(client: Any, bucket: str, files: Sequence[Path]) -> None:
    # Any: boto3 makes its clients while it runs, without types.
    for file in files:
        client.put_object(Bucket=bucket, Key=f"peer/{file.parent.name}/{file.name}", Body=file.read_bytes())


@contextmanager
def _server(top: Path, *, real: bool) -> Iterator[tuple[str, Access]]:
    """Start Ceph's gateway where it is installed, or else the fake of our tests."""
    if real and all(shutil.which(name) for name in ceph.PACKAGES):
        with ceph.a_ceph_gateway(top / "ceph") as access:
            client = _client(access)
            client.create_bucket(Bucket=access.bucket)
            client.close()
            yield "radosgw", access
        return
    with a_fake_s3() as fake:
        access = Access(BUCKET, endpoint=fake.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        yield "a fake S3", replace(access, public_endpoint=fake.endpoint)


@contextmanager
def _service(top: Path, access: Access) -> Iterator[Service]:
    settings = {
        "CUSTODY_STORE_URL": f"s3://{access.bucket}/all",
        "CUSTODY_S3_ENDPOINT": access.endpoint or "",
        "CUSTODY_S3_PUBLIC_ENDPOINT": access.public_endpoint or "",
        "CUSTODY_S3_ACCESS_KEY": access.access_key or "",
        "CUSTODY_S3_SECRET_KEY": access.secret_key or "",
    }
    with all_three(top / "service", **settings) as service:
        yield service


def _client(access: Access) -> Any:
    # Any: boto3 makes its clients while it runs, without types.
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name="us-east-1",
    )
