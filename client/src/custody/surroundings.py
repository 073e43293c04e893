"""What a step can tell of itself before it does anything: source, CI system, environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from custody.capture.arguments import redact_arguments
from custody.capture.ci import find_ci
from custody.capture.environment import recorded_environment
from custody.capture.gitrunner import find_top
from custody.capture.names import wire_name
from custody.capture.source import Source, find_source
from custody.capture.statcache import wanted

Scalar: TypeAlias = str | bool | int
Excluded: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts of begin that need no command line, and the inputs that a dirty checkout means.

    `refused` says which of the asked-for variables are not recorded, and why.
    """

    facts: dict[str, object]
    changes: list[dict[str, object]]
    shown: str
    refused: dict[str, str]


def look_around(
    root: str,
    environ: Mapping[str, str],
    *,
    variables: Sequence[str] = (),
    cache: bool = True,
    excluded: Excluded = lambda _path: False,
) -> Surroundings:
    """Find out what surrounds a step that runs in `root`.

    Args:
        root: The working directory.
        environ: The variables of this process.
        variables: Names of variables to record beside the harmless ones.
        cache: Whether a stat cache may be kept between runs.
        excluded: Says of an absolute path that it is a declared output: what an earlier
            run left there is not an input of this one.
    """
    environment = recorded_environment(environ, variables)
    source = find_source(root, environ, persistent=cache and wanted(environ))
    ci = find_ci(environ)
    facts: dict[str, object] = {}
    if environment.values:
        facts["environment"] = environment.values
    if ci is not None:
        facts["ci"] = ci.wire()
    if source is None:
        return Surroundings(facts, [], "no git", environment.refused)
    described = _described(source)
    if described is not None:
        facts["source"] = described
    changes = list(_changes(source, find_top(root) or root, excluded))
    return Surroundings(facts, changes, _shown(source), environment.refused)


def masked(parameters: Mapping[str, Scalar], secrets: Sequence[str]) -> dict[str, Scalar]:
    """Return `parameters` with every value masked that is, or is named like, a secret."""
    found: dict[str, Scalar] = {}
    for name, value in parameters.items():
        if isinstance(value, str):
            # As an argument it would be masked by the same rules.
            found[name] = redact_arguments(["--", f"{name}={value}"], secrets)[1].partition("=")[2]
        else:
            found[name] = value
    return found


def _described(source: Source) -> dict[str, object] | None:
    """Return the source as the record names it, with how much of it differs."""
    found = source.descriptor()
    if found is None:
        return None
    annotations: dict[str, object] = {"dirty": source.dirty}
    total = len(source.changes) + source.omitted
    deleted = sum(change.kind == "deleted" for change in source.changes)
    if total:
        annotations["changes"] = total
    if deleted:
        annotations["deleted"] = deleted
    return {**found, "annotations": annotations}


def _changes(source: Source, top: str, excluded: Excluded) -> Iterator[dict[str, object]]:
    """Yield what differs from the commit and still has bytes, as inputs of their own."""
    for change in source.changes:
        if change.digest is None or excluded(f"{top}/{change.name}"):
            continue
        algorithm, _, value = change.digest.partition(":")
        annotations = {"state": change.kind} | ({"note": change.note} if change.note else {})
        yield {
            "name": wire_name(change.name).text,
            "digest": {algorithm: value},
            "annotations": annotations,
        }


def _shown(source: Source) -> str:
    if source.commit is None:
        return "git without a commit"
    state = "clean"
    if source.dirty:
        count = len(source.changes) + source.omitted
        state = f"dirty, {count} {'file differs' if count == 1 else 'files differ'}" if count else "dirty"
    return f"git {source.commit[:7]} ({state})"
