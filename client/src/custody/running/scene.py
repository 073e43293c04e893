"""What a command starts from: the files that are there, and what is declared as its input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from custody.capture.arguments import redact_arguments
from custody.capture.environment import child_environment, secret_values
from custody.capture.errors import CaptureError
from custody.capture.ignore import Ignore
from custody.capture.names import wire_name
from custody.capture.outputs import Snapshot, snapshot
from custody.capture.selection import Selection
from custody.capture.statcache import StatCache, cache_file, wanted
from custody.errors import ClientError, ContentError, MisuseError
from custody.inputs import Consumed, consumed, merged
from custody.progress import bar
from custody.running.plan import Plan, default_name
from custody.running.tree_outputs import names_tree
from custody.surroundings import Surroundings, masked
from custody.surroundings import look_around as surroundings


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything known before the command starts."""

    root: str
    facts: dict[str, object]
    inputs: list[dict[str, object]]
    source_shown: str
    secrets: tuple[str, ...]
    child_environment: dict[str, str]
    before: Snapshot
    ignore: Ignore
    cache: StatCache
    selection: Selection | None
    trees: tuple[str, ...]
    declared: tuple[Consumed, ...]
    refused: dict[str, str]

    def disturbed(self) -> Iterator[ClientError]:
        """Yield a complaint for each declared input that is no longer what was hashed."""
        for one in self.declared:
            if one.changed():
                yield ContentError(
                    f"{one.name}: the input changed while the step ran",
                    hint="the record names what it was before",
                )


def look_around(plan: Plan, environ: Mapping[str, str]) -> Scene:
    """Capture everything there is before the command starts.

    Raises:
        MisuseError: An input or a glob makes no sense, or `.custodyignore` cannot be read.
        ContentError: An input cannot be read.
    """
    try:
        ignore = Ignore.load(plan.root, allow_secrets=plan.allow_secrets)
        named = [glob for glob in plan.outputs if not names_tree(glob)]
        selection = Selection(named, plan.root) if plan.outputs else None
    except CaptureError as error:
        raise MisuseError(str(error), hint=error.hint or None) from error
    around = surroundings(
        plan.root,
        environ,
        variables=plan.environment,
        cache=plan.cache,
        excluded=lambda path: _wanted(path, plan.root, selection),
    )
    declared = tuple(consumed(plan.inputs, root=plan.root, ignore=ignore))
    secrets = secret_values(environ)
    cache = _cache(plan, environ)
    return Scene(
        root=plan.root,
        facts=_facts(plan, around, secrets),
        inputs=merged([one.descriptor for one in declared], around.changes),
        source_shown=around.shown,
        secrets=secrets,
        child_environment=child_environment(environ),
        # Where outputs are named it does not matter which files are new.
        before=_snapshot(plan.root, ignore, cache, None if selection is None else _nothing),
        ignore=ignore,
        cache=cache,
        selection=selection,
        trees=tuple(glob for glob in plan.outputs if names_tree(glob)),
        declared=declared,
        refused=around.refused,
    )


def look_again(scene: Scene) -> Snapshot:
    """Capture what is there after the command, and remember the digests for the next time."""
    wants = None if scene.selection is None else scene.selection.wants
    after = _snapshot(scene.root, scene.ignore, scene.cache, wants, scene.before)
    scene.cache.save(after.identities())
    return after


def _facts(plan: Plan, around: Surroundings, secrets: tuple[str, ...]) -> dict[str, object]:
    command = [wire_name(argument).text for argument in redact_arguments(plan.command, secrets)]
    facts: dict[str, object] = {"name": plan.name or default_name(command), "command": command}
    if plan.parameters:
        facts["parameters"] = masked(plan.parameters, secrets)
    return {**facts, **around.facts}


def _cache(plan: Plan, environ: Mapping[str, str]) -> StatCache:
    if not plan.cache:
        return StatCache()
    return StatCache.load(cache_file(plan.root, environ) if wanted(environ) else None)


def _snapshot(
    root: str,
    ignore: Ignore,
    cache: StatCache,
    only: Callable[[str], bool] | None,
    before: Snapshot | None = None,
) -> Snapshot:
    with bar("hashing") as advance:
        return snapshot(root, ignore=ignore, cache=cache, only=only, before=before, progress=advance)


def _nothing(_name: str) -> bool:
    return False


def _wanted(path: str, root: str, selection: Selection | None) -> bool:
    if selection is None:
        return False
    name = os.path.relpath(path, root)
    return not name.startswith("../") and selection.wants(name)
