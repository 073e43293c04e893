"""The written forms of references, plans and finishes: what travels, and what is kept.

Unknown members are refused everywhere: a misspelt `ouputs` must not become a step
without outputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from artifacts.digest import DigestSet
from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.limits import MAX_COMMAND, MAX_TEXT
from artifacts.refs import ArtifactRef, Scalar, checked_name, checked_scalars
from artifacts.steps import Outcome

WireScalar = StrictBool | StrictInt | StrictStr
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_MAX_STATUS = 2**31


class Wire(BaseModel):
    """The strict base: no unknown members, no coercion, no change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ReferenceBody(Wire):
    """An in-toto ResourceDescriptor, as far as references need it."""

    name: str | None = None
    uri: str | None = None
    digest: dict[str, str]
    media_type: Annotated[str | None, Field(alias="mediaType")] = None
    annotations: dict[str, WireScalar] = Field(default_factory=dict)

    def to_ref(self) -> ArtifactRef:
        """The reference this describes.

        Raises:
            InvalidInputError: a member is not acceptable.
        """
        return ArtifactRef(
            digests=DigestSet.parse(self.digest),
            uri=self.uri,
            name=self.name,
            media_type=self.media_type,
            annotations=self.annotations,
        )


def reference_members(ref: ArtifactRef) -> dict[str, Any]:  # Any: JSON
    """The members of `ref` on the wire; what is not set is left out."""
    members: dict[str, Any] = {"digest": ref.digests.to_wire()}
    if ref.name is not None:
        members["name"] = ref.name
    if ref.uri is not None:
        members["uri"] = ref.uri
    if ref.media_type is not None:
        members["mediaType"] = ref.media_type
    if ref.annotations:
        members["annotations"] = dict(ref.annotations)
    return members


class CiBody(Wire):
    """The CI system a step says it runs on."""

    system: str
    url: str | None = None


class PlanBody(Wire):
    """What is known of a step when it begins: what will run, where, from what."""

    name: str
    command: list[str] = Field(default_factory=list)
    parameters: dict[str, WireScalar] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    source: ReferenceBody | None = None
    client: str | None = None
    ci: CiBody | None = None

    def check(self) -> None:
        """Hold every member against the limits.

        Raises:
            InvalidInputError: a member is not acceptable.
            LimitExceededError: a member is too large.
        """
        checked_name(self.name, "the name of a step")
        if len(self.command) > MAX_COMMAND or sum(map(len, self.command)) > MAX_COMMAND * 1024:
            raise LimitExceededError("the command is too long", hint="pass long lists in a file")
        checked_parameters(self.parameters)
        checked_scalars(self.environment, "environment")
        if self.source is not None:
            self.source.to_ref()
        ci = (self.ci.system, self.ci.url) if self.ci else ()
        for text in (self.client, *ci):
            if text is not None:
                checked_name(text, "the name of a client or CI system")

    def written(self) -> str:
        """One canonical text; equal plans have equal texts."""
        return canonical(self.model_dump(by_alias=True, exclude_defaults=True))


class FinishBody(Wire):
    """How a step says it ended."""

    outcome: Annotated[Outcome, Field(strict=False)]
    exit_status: int | None = None
    parameters: dict[str, WireScalar] = Field(default_factory=dict)
    began_at: str | None = None
    finished_at: str | None = None

    def check(self) -> None:
        """Hold every member against the limits.

        Raises:
            InvalidInputError: a member is not acceptable.
        """
        checked_parameters(self.parameters)
        if self.exit_status is not None and abs(self.exit_status) > _MAX_STATUS:
            raise InvalidInputError("not an exit status", given=str(self.exit_status)[:40])
        for moment in (self.began_at, self.finished_at):
            if moment is not None and not _TIME.fullmatch(moment):
                raise InvalidInputError(
                    "a time is written in UTC as RFC 3339 with Z",
                    hint="for example 2026-11-22T10:00:00Z",
                    given=moment[:60],
                )

    def written(self) -> str:
        """One canonical text; equal finishes have equal texts."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def canonical(members: Any) -> str:  # Any: JSON
    """Write JSON with sorted members and no spaces."""
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS).decode()


def merged_parameters(begun: dict[str, Scalar], finished: dict[str, Scalar]) -> dict[str, Scalar]:
    """The parameters of begin and finish together.

    Raises:
        InvalidInputError: one name has two values.
    """
    for name, value in finished.items():
        if name in begun and begun[name] != value:
            raise InvalidInputError(
                "a parameter cannot change while a step runs", hint="give it a new name", parameter=name[:200]
            )
    both = {**begun, **finished}
    checked_parameters(both)
    return both


def checked_parameters(given: Mapping[str, Scalar]) -> None:
    """Hold parameters against the limits, one by one and together.

    Raises:
        InvalidInputError: a name or value is not acceptable.
        LimitExceededError: there are too many, or they are too long.
    """
    checked_scalars(given, "parameters")
    if sum(len(str(value)) for value in given.values()) > MAX_TEXT * 16:
        raise LimitExceededError("the parameters are too long", hint="put long values into an input file")
