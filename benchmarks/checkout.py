"""P1, P2, P3: a commit as a directory, beside a shallow clone and a plain copy."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import history
from benchmarks.commands import environment, put
from benchmarks.peers import git_http, static_trees
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_most
from benchmarks.rounds import Child, Scale, in_turns
from benchmarks.servers import Service, all_three
from benchmarks.startup import command
from benchmarks.stores import an_s3_server, service_over
from benchmarks.wire import counted

_CLONE, _COPY = "git clone --depth 1", "cp -r"
_STORE = "CUSTODY_NODE_STORE"
_CEILING = "a static file server (the ceiling)"
_BARS = {"P1": (6, 1.6), "P2": (8, 1.4)}
"""How many times faster than the clone, and how many times as long as the copy."""


@dataclass(frozen=True, slots=True)
class Commits:
    """What is fetched: the last commit, and the one ten before it."""

    service: Service
    origin: str
    head: str
    before: str
    files: Path
    work: str
    env: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]]
    """Where a cold node gets the last commit from, and the variables that say so."""


@dataclass(slots=True)
class Anew:
    """Runs a command each time for a directory that was never there before."""

    place: Path
    written: Callable[[str], Sequence[str]]
    env: Mapping[str, str]
    fresh_store: bool = False
    used: int = 0

    def __call__(self) -> float:
        """Run it once; nothing is removed before the benchmark ends."""
        self.used += 1
        target = str(self.place / str(self.used))
        self.place.mkdir(exist_ok=True)
        env = {**self.env, _STORE: f"{target}.store"} if self.fresh_store else self.env
        return Child(self.written(target), self.place, env)()


def measure(scale: Scale) -> list[Result]:
    """Check out in memory and, if that is another file system, in the directory for temporary files."""
    top = Path(tempfile.mkdtemp(prefix="checkout-", dir=scale.directory))
    other = Path(tempfile.mkdtemp(prefix="checkout-"))
    try:
        with _commits(top, scale) as commits:
            places = [top] if file_system(top) == file_system(other) else [top, other]
            found = [result for place in places for result in _timed(commits, place, scale)]
            return [*found, _next_commit(commits, top)]
    finally:
        shutil.rmtree(top)
        shutil.rmtree(other)


@contextmanager
def _commits(top: Path, scale: Scale) -> Iterator[Commits]:
    shape = history.Shape(scale.files, scale.folders, scale.commits)
    history.build(top / "origin" / "project.git", shape)
    for name, commit in (("head", "HEAD"), ("before", "HEAD~10")):
        history.export(top / "origin" / "project.git", commit, top / name)
    with all_three(top / "service") as service, git_http.serving(top / "origin") as url:
        env = environment(service, top)
        size = sum(file.stat().st_size for file in (top / "head").rglob("*") if file.is_file())
        head = put(top / "head", env)
        with _sources(top, service, env, head, real=scale.real) as sources:
            yield Commits(
                service,
                f"{url}/project.git",
                head,
                put(top / "before", env),
                top / "head",
                f"{shape.files:,} files, {size / 1e6:.0f} MB, commit {shape.commits:,}",
                env,
                sources,
            )


@contextmanager
def _sources(
    top: Path, service: Service, env: Mapping[str, str], head: str, *, real: bool
) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """Yield the variables for a service over a directory, one over an S3 server, and static files."""
    with (
        an_s3_server(top, real=real) as (name, access),
        service_over(access, top / "service-s3") as other,
        static_trees.serving(top / "static", service.url, service.token, head) as static,
    ):
        over_s3 = environment(other, top)
        put(top / "head", over_s3)
        yield {
            "its directory store": env,
            name: over_s3,
            _CEILING: {**env, "CUSTODY_URL": static},
        }


def _timed(commits: Commits, place: Path, scale: Scale) -> list[Result]:
    head, env = commits.head, {**commits.env, _STORE: str(place / "warm.store")}

    def get(to: str) -> Sequence[str]:
        return [command(), "get", head, to]

    sides = [
        Anew(place / "warm", get, env),
        Anew(place / "clone", lambda to: ["git", "clone", "-q", "--depth", "1", commits.origin, to], env),
        Anew(place / "copy", lambda to: ["cp", "-r", str(commits.files), to], env),
    ]
    for number, variables in enumerate(commits.sources.values()):
        sides.append(Anew(place / f"cold{number}", get, variables, fresh_store=True))
    warm, clone, copy, *cold = in_turns(sides, rounds=min(scale.rounds, 5), factor=1000)
    _require_equal(commits.files, *(side.place / "1" for side in sides))
    peers = Measured(_CLONE, clone, "ms"), Measured(_COPY, copy, "ms")
    kind, found = file_system(place), list[Result]()
    for name, samples in zip(commits.sources, cold, strict=True):
        work = f"cold node, from {name}: {commits.work}"
        found += _beside("P1", work, Measured("custody get", samples, "ms"), peers, kind)
    return found + _beside(
        "P2", f"warm node: {commits.work}", Measured("custody get", warm, "ms"), peers, kind
    )


def _beside(
    name: str, work: str, ours: Measured, peers: tuple[Measured, Measured], kind: str
) -> list[Result]:
    faster, longer = _BARS[name]
    if _CEILING in work:
        return [Result(name, work, ours, peer, kind) for peer in peers]
    return [
        Result(name, work, ours, peers[0], kind, [at_most(1 / faster)]),
        Result(name, work, ours, peers[1], kind, [at_most(longer)]),
    ]


def _next_commit(commits: Commits, top: Path) -> Result:
    """Count what a node that has the commit ten back still needs; both times with everything around it."""
    with counted(commits.service.url) as wire:
        env = {**commits.env, "CUSTODY_URL": wire.url}

        def bytes_of(digest: str, store: str, target: str) -> float:
            wire.taken()
            Child([command(), "get", digest, target], top, {**env, _STORE: str(top / store)})()
            return wire.taken() / 2**20

        whole = bytes_of(commits.head, "empty.store", "whole")
        bytes_of(commits.before, "older.store", "before-it")
        rest = bytes_of(commits.head, "older.store", "next")
    _require_equal(commits.files, top / "next")
    return Result(
        "P3",
        "bytes on the wire for a commit, on a node that has one ten commits back",
        Measured("custody get", (rest,), "MiB"),
        Measured("the same on an empty node", (whole,), "MiB"),
        file_system(top),
        [at_most(0.1)],
        ["both directions, with requests, manifest, layout and packs"],
    )


def _require_equal(one: Path, *others: Path) -> None:
    """Compare whole directories: a quick answer that is wrong is no answer."""
    for other in others:
        subprocess.run(["diff", "-r", "-q", "-x", ".git", str(one), str(other)], check=True)
