"""Filling an empty index from a bucket of signed records, on one core, beside the floor of it.

Ours reads every object, verifies every signature, writes every row and derives lineage, into
an SQLite index of its own. The peer reads the same bundles and verifies their signatures, and
does nothing with them: nobody who believes only what is signed can be faster.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.preparing import migrate
from api.settings import Settings
from artifacts import layout
from artifacts.clock import SystemClock
from artifacts.db import connect
from artifacts.digest import Digest
from artifacts.record_codec import decode, encode
from artifacts.storage.directory import DirectoryStore
from benchmarks.finished_steps import FIRST, members
from benchmarks.places import file_system
from benchmarks.results import Bar, Measured, Result
from benchmarks.rounds import Scale, interleaved
from provenance import slsa
from provenance.attest import BUILDER
from provenance.bundle import Bundle
from provenance.dsse import pae
from provenance.reindex.reindexer import Believing, Reindexer
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.slsa import RecordLabels
from provenance.writer import PAYLOAD_TYPE
from provenance.writer import encode as encode_statement

_URL = "https://custody.example"
_A_SEGMENT = 32
_A_SECOND = 2_000


def measure(scale: Scale) -> list[Result]:
    """Reindex one bucket again and again, each time into a fresh index."""
    top = Path(tempfile.mkdtemp(prefix="reindex-", dir=scale.directory))
    try:
        fill(top, scale.records)
        ours, peer = interleaved(
            lambda: scale.records / _alone("reindex", top),
            lambda: scale.records / _alone("verify", top),
            rounds=scale.rounds,
        )
    finally:
        shutil.rmtree(top)
    return [
        Result(
            name="reindex",
            work=f"{scale.records:,} signed records with 10 artifacts into an empty SQLite index, one core",
            ours=Measured("custody-server reindex, without its start", ours, "/s"),
            peer=Measured("read and verify the same signatures", peer, "/s"),
            place=file_system(scale.directory),
            bars=[Bar(_A_SECOND, at_most=False, own=True)],
        )
    ]


def _alone(what: str, top: Path) -> float:
    """The seconds that `what` takes in a process that has one core."""
    command = [sys.executable, "-m", "benchmarks.reindexing", what, str(top)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["seconds"])


def fill(top: Path, records: int) -> None:
    """Write a bucket as the service does: records in segments, a signed statement of each."""
    signer = LocalSigner.open_or_create(top / "keys" / "local-v1.pem")
    bucket, lines = top / "objects", []
    for number in range(records):
        line = encode(_members(number))
        lines.append(line)
        statement = slsa.statement(
            record := decode(line),
            record_digest=Digest.of(line),
            builder_id=_URL + BUILDER,
            public_url=_URL,
            labels=RecordLabels.reported(record),
        )
        bundle = Bundle.of(sealed(PAYLOAD_TYPE, encode_statement(statement), signer)).to_bytes()
        _write(bucket, layout.attestation(Digest.of(bundle)), bundle)
        if len(lines) == _A_SEGMENT or number == records - 1:
            content = b"".join(each + b"\n" for each in lines)
            first = json.loads(lines[0])["step"]
            _write(bucket, layout.segment("default", first, Digest.of(content), FIRST), content)
            lines = []


def _members(number: int) -> dict[str, Any]:  # Any: JSON
    """A step that uses what the five steps before it made, and makes five files."""
    inputs = [_reference(number - back, 0) for back in range(1, 6)]
    return members(number, inputs, [_reference(number, each) for each in range(5)])


def _reference(step: int, each: int) -> dict[str, Any]:  # Any: JSON
    name = f"dist/{step}-{each}.whl"
    digest = {"sha256": hashlib.sha256(name.encode()).hexdigest()}
    return {"digest": digest, "name": name, "uri": f"pkg:generic/{step}-{each}@1.0"}


def _write(bucket: Path, key: layout.Key, content: bytes) -> None:
    path = bucket / str(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def reindexed(top: Path) -> float:
    """Fill a fresh index and remove it; return the seconds it took."""
    folder = Path(tempfile.mkdtemp(dir=top))
    settings = Settings(data=folder)
    await migrate(settings)
    database, store = connect(settings.index_url), DirectoryStore(top / "objects")
    key = LocalSigner.open(top / "keys" / "local-v1.pem").public_key
    believing = Believing(frozenset({key}), _URL + BUILDER, None)
    began = time.perf_counter()
    report = await Reindexer(database, store, SystemClock(), believing).run()
    took = time.perf_counter() - began
    await database.close()
    store.close()
    shutil.rmtree(folder)
    if not report.clean or report.counts["records signed"] != report.counts["statements"]:
        raise RuntimeError(f"not everything was filed: {report}")
    return took


def verified(top: Path) -> float:
    """Read every bundle and verify its signature; return the seconds it took."""
    key = LocalSigner.open(top / "keys" / "local-v1.pem").public_key
    began = time.perf_counter()
    for path in (top / "objects" / "attestations" / "sha256").iterdir():
        envelope = Bundle.parse(path.read_bytes()).envelope
        if not key.verify(envelope.signatures[0].sig, pae(PAYLOAD_TYPE, envelope.payload)):
            raise RuntimeError("a signature is wrong")
    return time.perf_counter() - began


def main(arguments: Sequence[str]) -> None:
    """Do one of the two on one core and print how long it took."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    what, top = arguments
    seconds = asyncio.run(reindexed(Path(top))) if what == "reindex" else verified(Path(top))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
