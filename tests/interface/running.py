"""Every operation of the interface asked thousands of times by schemathesis, at a service that runs.

Two runs of the command at once: over the document as it is published, and over a sharpened
copy whose links lead from one operation to the next. What was asked is counted by the service.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.interface.document import sharpened
from tests.running_service import ROOT, Running

DOCUMENT: Final = ROOT / "docs" / "openapi.json"
EXCLUDED: Final = (
    # The document says less than the service demands; what it says of answers is held in full.
    "positive_data_acceptance",
    # Where several routes share a path, `Allow` names the methods of one of them.
    "allow_header_conformance",
)
EXCLUDED_SHARPENED: Final = (
    *EXCLUDED,
    # The sharpened copy demands more than the service does, on purpose.
    "negative_data_rejection",
    # Its names and digests make of one path another that has the method: GET /v1/blobs/{digest}.
    "unsupported_method",
)
_COUNTED: Final = re.compile(r'custody_requests_total\{.*status="(\d+)".*\} ([\d.]+)')


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of schemathesis ended with, and what it said."""

    status: int
    told: str


def run_both(folder: Path, *, examples: int, seed: int) -> tuple[list[Run], Counter[int]]:
    """Ask everything; give both runs, and how many requests were answered with each status."""
    (folder / "data").mkdir(parents=True)
    running = Running(folder / "data", settings={"CUSTODY_LOG_LEVEL": "error"})
    running.start()
    try:
        running.wait_ready(120)
        sharp = folder / "sharpened.json"
        sharp.write_text(json.dumps(sharpened(json.loads(DOCUMENT.read_text()))))
        chosen = ("--max-examples", str(examples), "--seed", str(seed))
        asking = [
            _started(folder, running, document, "--exclude-checks", ",".join(excluded), *chosen)
            for document, excluded in ((DOCUMENT, EXCLUDED), (sharp, EXCLUDED_SHARPENED))
        ]
        runs = [Run(one.wait(), log.read_text()) for one, log in asking]
        return runs, _answered(running)
    finally:
        running.stop()


def _started(
    folder: Path, running: Running, document: Path, *chosen: str
) -> tuple[subprocess.Popen[bytes], Path]:
    options = {
        "--url": f"http://127.0.0.1:{running.port}",
        "--header": f"Authorization: Bearer {running.token}",
        "--phases": "coverage,fuzzing,stateful",
        "--suppress-health-check": "all",
        "--warnings": "off",
        "--request-timeout": "60",
    }
    command = [str(Path(sys.executable).with_name("st")), "run", str(document), "--no-shrink"]
    # Not measured for coverage: nothing of ours runs in it.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    own = folder / document.stem
    own.mkdir()
    log = own / "log"
    with log.open("wb") as sink:
        words = [*command, *chosen, *(word for pair in options.items() for word in pair)]
        return subprocess.Popen(words, cwd=own, env=kept, stdout=sink, stderr=sink), log


def _answered(running: Running) -> Counter[int]:
    """How many requests the service answered with each status, those for its own state left out."""
    told = running.ask("GET", "/metrics")[1].decode()
    answered: Counter[int] = Counter()
    for line in told.splitlines():
        found = _COUNTED.match(line)
        if found and 'route="/readyz"' not in line:
            answered[int(found[1])] += int(float(found[2]))
    return answered
