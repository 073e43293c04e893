"""P11: many small files up, beside boto3 with one object each, into the same S3 server."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import environment, put
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_least
from benchmarks.rounds import Scale, interleaved
from benchmarks.stores import a_client, an_s3_server, service_over

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
        with (
            an_s3_server(top, real=scale.real) as (name, access),
            service_over(access, top / "service") as service,
        ):
            env, client = environment(service, top), a_client(access)
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
