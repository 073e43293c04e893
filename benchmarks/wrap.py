"""`custody run -- true` in a large directory, beside hashing the directory once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import trees
from benchmarks.places import file_system
from benchmarks.results import Bar, Measured, Result, at_most
from benchmarks.rounds import Child, Scale, interleaved
from benchmarks.servers import Service, all_three
from benchmarks.startup import command

_HASH = ["sh", "-c", "find . -type f -print0 | xargs -0 sha256sum"]
_SETTLE = 0.1
# By these the client takes its surroundings for CI, where it keeps no stat cache.
_CI = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "TF_BUILD", "BUILD_ID")


@dataclass(slots=True)
class Fresh:
    """Runs a command each time with an empty cache folder of its own."""

    child: Child
    caches: Path
    used: int = 0

    def __call__(self) -> float:
        """Run it once; folders are removed at the end of the benchmark only."""
        self.used += 1
        return replace(self.child, env=_cached(self.child.env, self.caches / str(self.used)))()


def measure(scale: Scale) -> list[Result]:
    """Run in a tree that was never seen, and in one that has not changed."""
    top = Path(tempfile.mkdtemp(prefix="run-", dir=scale.directory))
    try:
        root = top / "tree"
        trees.build(root, files=scale.files, folders=scale.folders)
        time.sleep(_SETTLE)
        with all_three(top / "service") as service:
            return _both(root, top, service, scale)
    finally:
        shutil.rmtree(top)


def _both(root: Path, top: Path, service: Service, scale: Scale) -> list[Result]:
    run = Child([command(), "run", "--require", "--", "true"], root, _environment(service, top))
    summed = Child(_HASH, root)
    cold, once = interleaved(Fresh(run, top / "cold"), summed, rounds=scale.rounds, factor=1000)
    run.env = _cached(run.env, top / "warm")
    warm, again = interleaved(run, summed, rounds=scale.rounds, factor=1000)
    place, work = file_system(root), f"custody run -- true among {scale.files:,} files"
    peer = "find | xargs sha256sum"
    return [
        Result(
            "run, cold",
            f"{work}, no stat cache",
            Measured("custody run", cold, "ms"),
            Measured(peer, once, "ms"),
            place,
            [at_most(2)],
        ),
        Result(
            "run, warm",
            f"{work}, nothing changed",
            Measured("custody run", warm, "ms"),
            Measured(peer, again, "ms"),
            place,
            [Bar(500, at_most=True, own=True)],
            ["begun, finished and sealed by a service of three processes on the same cores"],
        ),
    ]


def _environment(service: Service, top: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _CI and not name.startswith(("CUSTODY_", "TEKTON_", "TEAMCITY_", "CIRCLECI"))
    }
    return {**kept, "HOME": str(top), "CUSTODY_URL": service.url, "CUSTODY_TOKEN": service.token}


def _cached(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {**environment, "XDG_CACHE_HOME": str(folder)}
