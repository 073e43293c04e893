"""After the command: what it made, kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

from custody.bodies import Content
from custody.capture.errors import CaptureError
from custody.capture.outputs import Output, Outputs, Snapshot, changed
from custody.capture.scan import Skipped
from custody.contents import HashedFile, hashed
from custody.errors import ClientError, ContentError
from custody.output_names import printable_name
from custody.products import Kept, Produced
from custody.progress import bar
from custody.recording import Recording
from custody.running.scene import Scene, look_again
from custody.running.tree_outputs import keep_trees

MAX_OUTPUTS = 1000
"""Outputs of one step; a step that changed more gets a list of them instead."""

LISTING = "outputs.sha256"

_CLOSED = {
    "unreadable": "cannot be read, so what is in it is not recorded",
    "too-deep": "lies too deep, so what is in it is not recorded",
}
"""Kinds of what a scan passes over that may hold outputs."""


@dataclass(frozen=True, slots=True)
class Harvest:
    """What was kept, and what was not."""

    kept: list[Kept] = field(default_factory=list)
    trouble: list[ClientError] = field(default_factory=list)


def harvest(scene: Scene, recording: Recording) -> Harvest:
    """Find the outputs of the command and keep them."""
    after = look_again(scene)
    outputs, trouble = _outputs(scene, after)
    trouble.extend(scene.disturbed())
    if len(outputs) > MAX_OUTPUTS:
        return Harvest([], [*trouble, _list_only(outputs, recording)])
    produced, unsteady = _settled(outputs)
    total = sum(one.file.size for one in produced)
    done = 0
    with bar("uploading") as advance:

        def sent(count: int) -> None:
            nonlocal done
            done += count
            if advance is not None:
                advance(done, total)

        kept = recording.keep(produced, sent=sent)
    lost = [ContentError(f"{one.name}: {one.trouble}") for one in kept if one.trouble is not None]
    trees, untaken = keep_trees(scene.trees, scene.root, scene.ignore, recording)
    return Harvest([*kept, *trees], [*trouble, *unsteady, *lost, *untaken])


def _outputs(scene: Scene, after: Snapshot) -> tuple[Outputs, list[ClientError]]:
    """Return what changed, or what the globs of --output name, and what was looked for in vain."""
    trouble: list[ClientError] = [ContentError(f"{one.name}: {one.reason}") for one in after.unread]
    trouble += [ContentError(f"{one.name}: {_CLOSED[one.kind]}") for one in _closed(scene.before, after)]
    selection = scene.selection
    if selection is None:
        return changed(scene.before, after), trouble
    try:
        return selection.select(after), trouble
    except CaptureError as error:
        trouble.append(ContentError(str(error), hint=error.hint))
        return selection.matched(after), trouble


def _closed(before: Snapshot, after: Snapshot) -> list[Skipped]:
    """Return the folders that nobody could look into and that were not so before the command."""
    known = {one.name for one in before.skipped if one.kind in _CLOSED}
    return [one for one in after.skipped if one.kind in _CLOSED and one.name not in known]


def _settled(outputs: Iterable[Output]) -> tuple[list[Produced], list[ClientError]]:
    """Return the outputs that hold still; one that changed while it was hashed gets a second chance."""
    produced: list[Produced] = []
    unsteady: list[ClientError] = []
    for one in outputs:
        try:
            file = _file(one) if one.stable else hashed(one.path)
        except ContentError as error:
            unsteady.append(error)
        else:
            produced.append(Produced(printable_name(one.name), file))
    return produced, unsteady


def _file(one: Output) -> HashedFile:
    return HashedFile(one.path, one.digest.removeprefix("sha256:"), one.size, one.identity)


def _list_only(outputs: Outputs, recording: Recording) -> ClientError:
    """Keep a list of the files, in the form that `sha256sum --check` reads, and say how to narrow."""
    # In a file: there may be a million.
    with TemporaryDirectory(prefix="custody-") as folder:
        path = f"{folder}/{LISTING}"
        with open(path, "wb") as stream:  # noqa: PTH123 - text for the whole way
            stream.writelines(map(_line, outputs))
        written = hashed(path)
        content = Content(written.size, lambda: open(path, "rb"))  # noqa: PTH123, SIM115 - whoever sends it closes it
        recording.keep_bytes(LISTING, content, written.sha256)
    return ContentError(
        f"{len(outputs)} files were made or changed, more than the {MAX_OUTPUTS} that a step can have as outputs; "
        f"they are listed in the byproduct {LISTING}",
        hint="name what matters, for example --output 'dist/*.whl'",
    )


def _line(one: Output) -> bytes:
    return f"{one.digest.removeprefix('sha256:')}  {printable_name(one.name)}\n".encode()
