"""Runs and steps: one execution of a pipeline, one execution of one of its steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from artifacts.errors import ConflictError, InvalidInputError

_PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Outcome(StrEnum):
    """How a step ended; `unknown` when nobody said so before its token expired."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class StepState(StrEnum):
    """How far the evidence of a step has come; `logged` stands in the ledger alone, the step stays `signed`."""

    OPEN = "open"
    SEALING = "sealing"
    SEALED = "sealed"
    SIGNED = "signed"
    LOGGED = "logged"
    REFUSED = "refused"


class Role(StrEnum):
    """What an artifact was to a step."""

    INPUT = "input"
    SOURCE = "source"
    OUTPUT = "output"
    BYPRODUCT = "byproduct"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline; only `principal` may add steps to it."""

    id: str
    project: str
    name: str
    principal: str
    began_at: datetime


def check_joins(principal: str, run: str, *, begun_by: str) -> None:
    """Return if `principal` may add to a run that `begun_by` has begun.

    Raises:
        ConflictError: they are two.
    """
    if principal != begun_by:
        raise ConflictError(
            "that run belongs to somebody else", hint="a run is joined only by who began it", run=run
        )


def step_sender(principal: str, step: str) -> str:
    """Whose the bytes are that the own token of `step` sends, which `principal` began."""
    return f"{principal}/{step}"


def checked_project(name: str) -> str:
    """Return `name` if it can name a project in keys and URLs.

    Raises:
        InvalidInputError: it cannot.
    """
    if not _PROJECT.fullmatch(name):
        raise InvalidInputError(
            "not a project name", hint="lower-case letters, digits and -", given=name[:80]
        )
    return name
