"""P11: one large blob down, beside the usual downloader from the same service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.checkout import Anew
from benchmarks.commands import environment, put
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_least
from benchmarks.rounds import Scale, in_turns
from benchmarks.servers import all_three
from benchmarks.startup import command


@dataclass(frozen=True, slots=True)
class Rate:
    """Turns the time that a side took into megabytes a second."""

    side: Anew
    megabytes: int

    def __call__(self) -> float:
        """Run it once."""
        return self.megabytes / self.side()


def measure(scale: Scale) -> list[Result]:
    """Download to a new file each time; what came is compared with what was put."""
    top = Path(tempfile.mkdtemp(prefix="transfer-", dir=scale.directory))
    try:
        return _measured(top, scale)
    finally:
        shutil.rmtree(top)


def _measured(top: Path, scale: Scale) -> list[Result]:
    blob = top / "blob"
    with blob.open("xb") as stream:
        for _ in range(scale.megabytes):
            stream.write(os.urandom(1 << 20))
    with all_three(top / "service") as service:
        env = environment(service, top)
        digest = put(blob, env)
        asked = ["curl", "-sS", "--fail", "-H", f"Authorization: Bearer {service.token}", "-o"]
        url = f"{service.url}/v1/blobs/{digest}"
        sides = (
            Anew(top / "ours", lambda to: [command(), "get", digest, to], env),
            Anew(top / "curl", lambda to: [*asked, to, url], env),
        )
        rounds = min(scale.rounds, 3)
        ours, peer = in_turns([Rate(side, scale.megabytes) for side in sides], rounds=rounds)
    subprocess.run(["cmp", str(blob), str(top / "ours" / "1")], check=True)
    subprocess.run(["cmp", str(blob), str(top / "curl" / "1")], check=True)
    return [
        Result(
            "P11",
            f"download of {scale.megabytes:,} MiB from the service over its directory store",
            Measured("custody get, verified", ours, "MiB/s"),
            Measured("curl, not verified", peer, "MiB/s"),
            file_system(scale.directory),
            [at_least(0.9)],
        )
    ]
