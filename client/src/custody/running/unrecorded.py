"""A command that cannot be recorded, and runs all the same."""

from __future__ import annotations

import json
import os

from custody import exits
from custody.capture.environment import child_environment
from custody.errors import ContentError
from custody.running.child import run_child
from custody.running.log import StepLog
from custody.running.plan import Plan
from custody.terminal import say, warn

_GONE = "the working directory is gone"


class _Forgetful:
    """Keeps nothing of a log that nobody will read."""

    def feed(self, _piece: bytes, /) -> bytes:
        """Return nothing."""
        return b""

    def flush(self) -> bytes:
        """Return nothing."""
        return b""


def run_unrecorded(plan: Plan) -> int:
    """Run the command of `plan` in a directory that somebody has removed; return its exit status.

    Raises:
        ContentError: It was to be recorded, or only to be shown.
    """
    if plan.require or plan.dry_run:
        raise ContentError(_GONE, hint="change into one that exists")
    warn(f"{_GONE}; the command runs without being recorded", "change into one that exists")
    log = StepLog(_Forgetful())
    status = run_child(plan.command, child_environment(os.environ), log)
    log.close()
    if plan.json:
        outcome = "failed" if status else "succeeded"
        told = {"outcome": outcome, "exit_status": status, "recorded": False, "spooled": False}
        say(json.dumps({**told, "inputs": [], "outputs": [], "log": None, "warnings": [_GONE]}))
    return status or exits.OK
