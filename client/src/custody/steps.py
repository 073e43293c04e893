"""`custody.step`: recording a part of a Python program as a step.

    with custody.step("train") as step:
        data = step.input("data/train.parquet")
        step.params(lr=1e-3)
        model = step.output("model.bin")
        fit(data, model)

Like `custody run`, it never breaks the program around it, unless `require=True`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from custody import clock
from custody.capture.arguments import redact_arguments
from custody.capture.environment import secret_values
from custody.capture.ignore import Ignore
from custody.capture.names import wire_name
from custody.commands.access import service
from custody.contents import hashed
from custody.errors import ClientError, ContentError, MisuseError
from custody.ids import is_ulid
from custody.inputs import file_input
from custody.output_names import output_name
from custody.products import Kept, Produced
from custody.recording import Recording, begin
from custody.references import looks_like_reference, parse
from custody.running.tree_outputs import keep_trees
from custody.service import Service
from custody.settings import load
from custody.spool.location import find_spool
from custody.strict_json import MAX_INTEGER
from custody.surroundings import look_around, masked
from custody.terminal import warn
from custody.transport import BRIEF, Patience
from custody.trees.either import fetch_either
from custody.wire import Document

Scalar: TypeAlias = str | bool | int | float
KEPT_HINT = "custody flush delivers it"


class Step:
    """A step under way. Made by `step`."""

    def __init__(
        self, name: str, project: Service | None, recording: Recording | None, *, require: bool
    ) -> None:
        self.name = name
        self.page: Document = {} if recording is None else recording.page
        self.kept: list[Kept] = []
        self._project = project
        self._recording = recording
        self._require = require
        self._away_at_begin = recording is not None and recording.absence is not None
        self._root = str(Path.cwd())
        self._outputs: dict[str, str] = {}
        self._trees: dict[str, str] = {}
        self.parameters: dict[str, str | bool | int] = {}
        self._fetched: tempfile.TemporaryDirectory[str] | None = None

    @property
    def id(self) -> str | None:
        """The id of the step, or None if it is not being recorded."""
        return None if self._recording is None else self._recording.step_id

    def input(self, what: str | os.PathLike[str]) -> Path:
        """Record that the step consumes `what`, and return the path of a local copy.

        Args:
            what: A file; or `URI@sha256:…` or `sha256:…`, whose bytes are fetched from the
                service and verified, a directory where it is that of a tree. The copy lives as
                long as the step.

        Raises:
            ContentError: The file cannot be read, or the service sent other bytes.
            MisuseError: A reference names no sha256, or a folder was given.
            ServiceError: A reference cannot be fetched.
        """
        written = os.fspath(what)
        if isinstance(what, str) and looks_like_reference(written):
            return self._reference(written)
        path = Path(self._root, written)
        if path.is_dir():
            raise MisuseError(f"{written} is a folder", hint="name the files that are read")
        found = file_input(str(path), self._root)
        self._add_input(found.descriptor)
        return path

    def output(self, path: str | os.PathLike[str]) -> Path:
        """Record that the step produces `path`, which may be written later, and return it.

        A file is taken as it is when the step ends; a folder stands for the files in it,
        or, written with a slash at its end, for one output: a tree.

        Raises:
            MisuseError: It lies outside the working directory.
        """
        name = output_name(path, root=self._root)
        if os.fspath(path).endswith("/"):
            self._trees[name] = str(Path(self._root, path))
        else:
            self._outputs[name] = str(Path(self._root, path))
        return Path(path)

    def params(self, **parameters: Scalar) -> None:
        """Record parameters. A float is written as text, because readers disagree about floats.

        So is whatever else JSON has no exact form for: numbers of numpy or beyond 2^53, None.

        Raises:
            MisuseError: A parameter is given twice with different values.
        """
        for name, value in parameters.items():
            written = _exact(value)
            known = self.parameters.setdefault(name, written)
            if known != written or type(known) is not type(written):
                raise MisuseError(f"the parameter {name} has two values: {known!r} and {written!r}")

    def _reference(self, written: str) -> Path:
        found = parse(written)
        if found.algorithm != "sha256":
            raise MisuseError(f"{found.digest} has no bytes of its own", hint="refer to it by its sha256")
        if self._project is None:
            raise ContentError(f"{written} cannot be fetched without a service")
        if self._fetched is None:
            self._fetched = tempfile.TemporaryDirectory(prefix="custody-")
        target = Path(self._fetched.name, found.hex)
        if not target.exists():
            fetch_either(self._project, found.hex, target)
        self._add_input(found.descriptor())
        return target

    def _add_input(self, descriptor: Mapping[str, object]) -> None:
        if self._recording is None:
            return
        try:
            self._recording.add_inputs([descriptor])
        except ClientError as error:
            self._regret(error)

    def _end(self, outcome: str, began_at: str) -> None:
        """Keep the outputs and finish the step."""
        try:
            if self._recording is not None:
                self._finish(self._recording, outcome, began_at)
        except ClientError as error:
            # A failure of the program itself is the one to be seen.
            if self._require and outcome == "succeeded":
                raise
            self._regret(error)
        except Exception as error:  # a fault of ours must not become one of the program
            fault = ClientError(f"{type(error).__name__}: {error}")
            if self._require and outcome == "succeeded":
                raise fault from error
            self._regret(fault)
        finally:
            self._close()

    def _finish(self, recording: Recording, outcome: str, began_at: str) -> None:
        produced, trouble = self._produced()
        self.kept = recording.keep(produced)
        trouble.extend(ContentError(f"{one.name}: {one.trouble}") for one in self.kept if one.trouble)
        trees, untaken = keep_trees(list(self._trees.values()), self._root, Ignore(), recording)
        self.kept.extend(trees)
        trouble.extend(untaken)
        self.page = recording.finish(
            {
                "outcome": outcome,
                "parameters": masked(self.parameters, secret_values(os.environ)),
                "began_at": began_at,
                "finished_at": clock.now(),
            }
        )
        refusal = recording.refusal()
        if refusal is not None:
            trouble.append(refusal)
        if recording.spooled and recording.absence is not None:
            if self._require and outcome == "succeeded":
                trouble.append(recording.absence)
            elif not self._away_at_begin:
                warn(f"{recording.absence.message}; the step {self.name} is kept on this machine", KEPT_HINT)
        for error in trouble:
            self._regret(error)
        if trouble and self._require and outcome == "succeeded":
            raise trouble[0]

    def _produced(self) -> tuple[list[Produced], list[ClientError]]:
        found: dict[str, Produced] = {}
        trouble: list[ClientError] = []
        for name, path in self._outputs.items():
            for file_name, file in _files(name, path):
                try:
                    found[file_name] = Produced(file_name, hashed(file))
                except ClientError as error:
                    trouble.append(error)
        return list(found.values()), trouble

    def _regret(self, error: ClientError) -> None:
        warn(f"{error.message}; the step {self.name} is not recorded completely", error.hint)

    def _close(self) -> None:
        if self._recording is not None:
            self._recording.close()
        if self._project is not None:
            self._project.transport.close()
        if self._fetched is not None:
            self._fetched.cleanup()


@contextmanager
def step(name: str, *, run: str | None = None, require: bool = False) -> Iterator[Step]:
    """Record what happens inside as a step called `name`.

    An exception makes the step a failed one and travels on. A dead service makes a
    warning, or with `require` an error.

    Args:
        name: The name of the step.
        run: The id or name of the run that it belongs to; one of its own by default.
        require: Whether to fail rather than to go on unrecorded.

    Raises:
        ClientError: With `require`, the step could not be recorded.
    """
    project, recording = _begin(name, run, require=require)
    began_at = clock.now()
    found = Step(name, project, recording, require=require)
    try:
        yield found
    except BaseException:
        found._end("failed", began_at)  # noqa: SLF001 - a class and its maker
        raise
    found._end("succeeded", began_at)  # noqa: SLF001 - as above


def _begin(name: str, run: str | None, *, require: bool) -> tuple[Service | None, Recording | None]:
    project: Service | None = None
    try:
        project = service(load(os.environ), patience=Patience() if require else BRIEF)
        query = None if run is None else {"id" if is_ulid(run) else "name": run}
        around = look_around(str(Path.cwd()), os.environ)
        command = redact_arguments(
            [Path(sys.argv[0]).name or "python", *sys.argv[1:]], secret_values(os.environ)
        )
        facts = {"name": name, "command": [wire_name(word).text for word in command], **around.facts}
        recording = begin(project, facts, run=query, spool=find_spool(os.environ))
        recording.add_inputs(around.changes)
        if recording.absence is not None and require:
            raise recording.absence
    except ClientError as error:
        if require:
            raise
        warn(f"{error.message}; the step {name} is not recorded", error.hint)
        return project, None
    if recording.absence is not None:
        warn(f"{recording.absence.message}; the step {name} is kept on this machine", KEPT_HINT)
    return project, recording


def _exact(value: object) -> str | bool | int:
    """Return `value` in a form that every reader of JSON reads alike."""
    if isinstance(value, float):
        return float.__repr__(value)  # a numpy float would name its type as well
    if isinstance(value, (bool, str)) or (isinstance(value, int) and abs(value) <= MAX_INTEGER):
        return value
    return str(value)


def _files(name: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield the files that an output stands for, with their names."""
    if not Path(path).is_dir():
        yield name, path
        return
    from custody.capture.scan import scan

    for below in sorted(scan(path, Ignore()).files):
        yield output_name(f"{path}/{below}"), f"{path}/{below}"
