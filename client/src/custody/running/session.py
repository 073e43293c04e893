"""`custody run`, in order: look, begin, run, look again, keep, finish.

Nothing about the command may break because of Custody: whatever goes wrong around it
is a warning, and its exit status is ours. `--require` turns that round for those who
would rather have no build than an unrecorded one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from custody import clock, exits
from custody.capture.redaction import Redactor
from custody.commands.access import service
from custody.errors import (
    ClientError,
    ContentError,
    MisuseError,
    RefusedError,
    SpoolFullError,
    UnreachableError,
)
from custody.products import Kept
from custody.recording import Recording, begin
from custody.running import report
from custody.running.child import run_child
from custody.running.harvest import harvest
from custody.running.log import StepLog
from custody.running.plan import Plan
from custody.running.scene import Scene, look_around
from custody.running.unrecorded import run_unrecorded
from custody.settings import load
from custody.spool.enduring import SPOOLED
from custody.spool.location import find_spool
from custody.terminal import complain, note, plain, say, warn
from custody.transport import BRIEF, Patience
from custody.wire import Document


@dataclass(slots=True)
class Session:
    """One `custody run` under way."""

    plan: Plan
    scene: Scene
    recording: Recording | None = None
    kept: list[Kept] = field(default_factory=list)
    log: Kept | None = None
    trouble: list[ClientError] = field(default_factory=list)
    begun_at: str | None = None

    def run(self) -> int:
        """Run the command and record it; return the exit status."""
        self._begin()
        self._announce()
        own = () if self.recording is None else (self.recording.token,)
        log = StepLog(Redactor((*self.scene.secrets, *own)))
        try:
            self.begun_at = clock.now()
            status = run_child(self.plan.command, self._environment(), log)
            ending = _ending(status, self.begun_at)
            if self.recording is not None:
                self._conclude(self.recording, log, ending)
        finally:
            log.close()
        if self.plan.json:
            self._print_json(ending)
        return status or self._demanded()

    def _begin(self) -> None:
        """Begin the step, or go on without; a build does not wait long for a dead service."""
        try:
            settings = load(os.environ, url=self.plan.url)
            patience = Patience() if self.plan.require else BRIEF
            project = service(settings, patience=patience)
            spool = find_spool(os.environ) if self.plan.spool else None
            self.recording = begin(project, self.scene.facts, run=self.plan.run_query(), spool=spool)
            self.recording.add_inputs(self.scene.inputs)
        except ClientError as error:
            if self.plan.require:
                raise
            self.recording = None
            self._regret(error, "the command runs without being recorded")
            return
        self._mind_absence(self.recording)

    def _mind_absence(self, recording: Recording) -> None:
        """Say once that the service is away; with --require nothing is begun without it."""
        if recording.absence is None or recording.absence in self.trouble:
            return
        if self.plan.require and self.begun_at is None:
            recording.close()
            raise recording.absence
        self._regret(recording.absence, "the record is kept on this machine")

    def _announce(self) -> None:
        for name, reason in self.scene.refused.items():
            warn(f"the variable {name} is not recorded: it {reason}")
        if self.recording is not None:
            where = self.recording.address
            note(report.header(self.recording.project, self.scene.source_shown, where))
            source = self.scene.facts.get("source")
            report.show_inputs([*([source] if isinstance(source, dict) else []), *self.scene.inputs])

    def _environment(self) -> dict[str, str]:
        found = dict(self.scene.child_environment)
        if self.plan.give_token and self.recording is not None:
            found["CUSTODY_URL"] = self.recording.address
            found["CUSTODY_TOKEN"] = self.recording.token
            found["CUSTODY_STEP"] = self.recording.step_id
        return found

    def _record(self, recording: Recording, log: StepLog, ending: Mapping[str, object]) -> None:
        """Keep what was made and finish the step.

        The step is finished also where some output could not be kept: the record then
        says less, and the exit status with --require says so.
        """
        since = time.monotonic()
        self._keep_outputs(recording)
        self._keep_log(recording, log)
        report.show_outputs([one for one in self.kept if one.stored])
        for one in self.trouble:
            if one is not recording.absence:  # that was said at once
                warn(one.message, one.hint)
        page = recording.finish(ending)
        self._mind_absence(recording)
        if recording.spooled:
            note(report.SPOOLED)
            return
        report.show_seal(page, time.monotonic() - since)
        refusal = recording.refusal()
        if refusal is not None:
            self._regret(refusal, "the step is recorded and will not be signed")
        note(report.next_line(self.kept, succeeded=ending["outcome"] == "succeeded", log=self.log))

    def _keep_outputs(self, recording: Recording) -> None:
        try:
            found = harvest(self.scene, recording)
        except UnreachableError as error:
            if isinstance(error, SpoolFullError) or not recording.outlives(error):
                raise
            self.trouble.append(error)
        except ClientError as error:
            self.trouble.append(error)
        except OSError as error:  # the working directory itself may be gone
            self.trouble.append(ContentError(f"{error.filename or self.scene.root}: {error.strerror}"))
        else:
            self.kept = found.kept
            self.trouble.extend(found.trouble)

    def _keep_log(self, recording: Recording, log: StepLog) -> None:
        content, sha256 = log.content()
        if not content.size:
            return
        taken = {one.name for one in self.kept}
        try:
            self.log = recording.keep_bytes("log" if "log" not in taken else "log.custody", content, sha256)
        except RefusedError as error:
            self.trouble.append(error)

    def _conclude(self, recording: Recording, log: StepLog, ending: Mapping[str, object]) -> None:
        """Record the step; nothing that goes wrong here reaches the command's status."""
        before = list(self.trouble)
        try:
            try:
                self._record(recording, log, ending)
            except KeyboardInterrupt:
                # Who does not want to wait for the upload has the record all the same.
                if not recording.give_up_waiting():
                    raise
                self.trouble = before
                self._record(recording, log, ending)
        except KeyboardInterrupt:
            self._regret(ClientError("interrupted"), "the step was not recorded to its end")
        except ClientError as error:
            self._regret(error, "the step was not recorded to its end")
        except Exception as error:  # a fault of ours must not become one of the build
            self._regret(
                ClientError(f"{type(error).__name__}: {error}"), "the step was not recorded to its end"
            )
        finally:
            recording.close()

    def _regret(self, error: ClientError, consequence: str) -> None:
        self.trouble.append(error)
        warn(f"{error.message}; {consequence}", error.hint)

    def _demanded(self) -> int:
        """Return what a successful command's status becomes under --require."""
        if not self.plan.require or not self.trouble:
            return exits.OK
        complain("the command succeeded, but was not recorded as required")
        return self.trouble[0].status

    def _print_json(self, ending: Mapping[str, object]) -> None:
        import json

        say(json.dumps(self.summary(ending), sort_keys=True))

    def summary(self, ending: Mapping[str, object]) -> Document:
        """Return the result as JSON shows it."""
        page = self.recording.page if self.recording is not None else {}
        wanted = ("id", "run", "project", "state", "record", "attestations")
        return {
            **{name: page[name] for name in wanted if name in page},
            **ending,
            "recorded": page.get("state") not in (None, "open", SPOOLED),
            "spooled": page.get("state") == SPOOLED,
            "inputs": self.scene.inputs,
            "outputs": [_shown(one) for one in self.kept],
            "log": _shown(self.log) if self.log else None,
            "warnings": [error.message for error in self.trouble],
        }


def conduct(plan: Plan) -> int:
    """Run and record the command of `plan`.

    Raises:
        ClientError: Something is wrong before the command was started.
    """
    step = os.environ.get("CUSTODY_STEP")
    if step:
        return _joined(plan, step)
    if not plan.root:
        return run_unrecorded(plan)
    scene = look_around(plan, os.environ)
    if plan.dry_run:
        return _rehearse(plan, scene)
    return Session(plan, scene).run()


def _joined(plan: Plan, step: str) -> int:
    """Run the command as part of the step around us, which records what it does."""
    note(f"custody  inside step {plain(step)}, whose own custody run records this command")
    try:
        os.execvp(plan.command[0], plan.command)  # noqa: S606 - there is no shell here on purpose
    except OSError as error:
        raise MisuseError(f"{plan.command[0]}: {error.strerror}") from error


def _rehearse(plan: Plan, scene: Scene) -> int:
    """Show what would be recorded."""
    import json

    if plan.json:
        say(json.dumps({**scene.facts, "inputs": scene.inputs}, sort_keys=True))
        return exits.OK
    note(f"custody  {plain(scene.source_shown)} · nothing is run, nothing is sent")
    for name, value in scene.facts.items():
        say(f"{name:<12} {plain(json.dumps(value, ensure_ascii=False))}")
    for one in scene.inputs:
        say(f"{'input':<12} {report.input_line(one)}")
    return exits.OK


def _ending(status: int, began_at: str) -> Document:
    return {
        "outcome": "failed" if status else "succeeded",
        "exit_status": status,
        "began_at": began_at,
        "finished_at": clock.now(),
    }


def _shown(kept: Kept) -> Document:
    found: Document = {
        "name": kept.name,
        "digest": kept.digest,
        "size": kept.size,
        "stored": kept.trouble is None,
    }
    return found if kept.trouble is None else {**found, "trouble": kept.trouble}
