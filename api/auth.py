"""Who is asking: bearer tokens, known to the service only by their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from api.parts import Parts
from artifacts.clock import to_milliseconds
from artifacts.errors import ForbiddenError, StepFinishedError, UnauthenticatedError
from artifacts.queries import tokens
from artifacts.recording import Target
from artifacts.steps import step_sender

_MAX_TOKEN: Final = 200
_SCHEME = HTTPBearer(
    auto_error=False, description="A project token, or a step token where outputs of a step are sent."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for which project; `step` is set for a step token."""

    project: str
    principal: str
    step: str | None = None
    open: bool = True
    """Whether the step of a step token still takes anything."""

    @property
    def sender(self) -> str:
        """Whose the bytes are that are sent: of the principal, or of one step of it."""
        return step_sender(self.principal, self.step) if self.step else self.principal


def parts(request: Request) -> Parts:
    """The parts this application was built with."""
    built: Parts = request.app.state.parts
    return built


async def authenticate(request: Request) -> Caller:
    """Find out who asks.

    Raises:
        UnauthenticatedError: there is no token, it is unknown, or it has expired.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(secret) <= _MAX_TOKEN:
        raise UnauthenticatedError(
            "this needs a token", hint="send Authorization: Bearer <token>; custody-server env prints one"
        )
    here = parts(request)
    digest = tokens.hashed(secret)
    if found := await here.reads.token(digest):
        return Caller(found.project, tokens.PRINCIPAL + found.id)
    async with here.database.reading() as connection:
        step = await tokens.find_step_token(connection, digest)
    if step is None:
        raise UnauthenticatedError("nobody issued this token", hint="custody-server env prints a valid one")
    if step.expires_at <= to_milliseconds(here.clock.now()):
        raise UnauthenticatedError("the step's token has expired", hint="begin a new step")
    return Caller(step.project, step.principal, step.step, step.open)


# FastAPI runs a plain function in a thread: what follows is coroutines, because a hop to a
# thread and back costs more than all of them together.


async def _anyone(request: Request, _scheme: Annotated[object, Depends(_SCHEME)]) -> Caller:
    # `StrictRoute` asked before anything else of the route ran.
    caller: Caller = request.state.caller
    return caller


def project_caller(request: Request) -> Caller:
    """The holder of a project token, found out by `StrictRoute`.

    Raises:
        ForbiddenError: it is a step's token.
    """
    caller: Caller = request.state.caller
    require_project(caller)
    return caller


def require_project(caller: Caller) -> None:
    """Make sure that `caller` holds a project token.

    Raises:
        ForbiddenError: it is a step's token.
    """
    if caller.step is not None:
        raise ForbiddenError(
            "a step's token may only add to its step or finish it", hint="use the project's token"
        )


def sending_caller(request: Request) -> Caller:
    """The holder of a project token, or of the token of an open step, who may send bytes.

    What a step may send is what its outputs are made of: blobs, packs, manifests, parts. It
    may ask which of them its project lacks, and how far its own have come. It reads nothing,
    and what it sends is recorded nowhere but as its own output.

    Raises:
        StepFinishedError: it is the token of a step that takes nothing more.
    """
    caller: Caller = request.state.caller
    if not caller.open:
        raise StepFinishedError(
            "the step is finished and takes nothing more", hint="begin a new step", step=caller.step
        )
    return caller


async def _sending(request: Request, _scheme: Annotated[object, Depends(_SCHEME)]) -> Caller:
    return sending_caller(request)


async def _project(request: Request, _scheme: Annotated[object, Depends(_SCHEME)]) -> Caller:
    return project_caller(request)


async def _target(step_id: str, caller: Annotated[Caller, Depends(_anyone)]) -> Target:
    if caller.step is not None and caller.step != step_id:
        raise ForbiddenError("this token belongs to another step", step=caller.step)
    return Target(caller.project, caller.principal, step_id)


async def _own(caller: Annotated[Caller, Depends(_anyone)]) -> str | None:
    return caller.sender if caller.step is not None else None


async def _parts(request: Request) -> Parts:
    return parts(request)


ProjectCaller = Annotated[Caller, Depends(_project)]
"""The holder of a project token; a step token is refused."""

SendingCaller = Annotated[Caller, Depends(_sending)]
"""The holder of a project token or of the token of an open step; what it sends is judged by `sending_caller`."""

StepTarget = Annotated[Target, Depends(_target)]
"""The step of the route, for the holder of a project token or of that very step's token."""

StepSender = Annotated[str | None, Depends(_own)]
"""Who sends, if it is the step's own token; None for a project token."""

PartsHere = Annotated[Parts, Depends(_parts)]
"""The parts of this application."""
