"""What requests carry; the strict forms of `docs/http.md`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.identifiers import checked_ulid
from artifacts.limits import (
    DEFAULT_STEP_SECONDS,
    MAX_INPUTS,
    MAX_MEMBERS,
    MAX_OUTPUTS,
    MAX_PACKS,
    MAX_STEP_SECONDS,
    MAX_TREE_DIGESTS,
)
from artifacts.queries.products import ProductRow
from artifacts.refs import checked_name, checked_output_name
from artifacts.steps import Role
from artifacts.trees.claims import PackClaim
from artifacts.wire import FinishBody, PlanBody, ReferenceBody, Wire


class RunBody(Wire):
    """Begin or find a run."""

    id: str | None = None
    name: str | None = None

    def check(self) -> None:
        """Hold id and name against their forms."""
        if self.id is not None:
            checked_ulid(self.id)
        if self.name is not None:
            checked_name(self.name, "the name of a run")


class StepBody(PlanBody):
    """Begin a step; the id and the token are chosen by whoever begins it."""

    id: str
    token_sha256: str
    run: str | None = None
    expires_in: Annotated[int, Field(ge=1, le=MAX_STEP_SECONDS)] = DEFAULT_STEP_SECONDS

    def check(self) -> None:
        """Hold every member against its form."""
        checked_ulid(self.id)
        Digest("sha256", self.token_sha256)
        if self.run is not None:
            checked_ulid(self.run)
        PlanBody.check(self)

    def plan(self) -> PlanBody:
        """The plan alone."""
        return PlanBody.model_validate(
            {name: getattr(self, name) for name in PlanBody.model_fields}, by_name=True
        )


class OutputBody(ReferenceBody):
    """An output or byproduct that is stored already, or lives elsewhere."""

    role: Annotated[Role, Field(strict=False)] = Role.OUTPUT

    def to_row(self) -> ProductRow:
        """The output this describes."""
        if self.name is None:
            raise InvalidInputError("an output needs a name")
        checked_output_name(self.name)
        if self.role not in {Role.OUTPUT, Role.BYPRODUCT}:
            raise InvalidInputError("an output has the role output or byproduct")
        return ProductRow(self.to_ref(), self.role)


class InputsBody(Wire):
    """References consumed by a step."""

    inputs: Annotated[list[ReferenceBody], Field(max_length=MAX_MEMBERS)]


class OutputsBody(Wire):
    """References produced by a step."""

    outputs: Annotated[list[OutputBody], Field(max_length=MAX_MEMBERS)]


class RecordBody(PlanBody, FinishBody):
    """A whole finished step."""

    id: str | None = None
    run: str | None = None
    inputs: Annotated[list[ReferenceBody], Field(max_length=MAX_INPUTS)] = Field(default_factory=list)
    outputs: Annotated[list[ReferenceBody], Field(max_length=MAX_OUTPUTS)] = Field(default_factory=list)
    byproducts: Annotated[list[ReferenceBody], Field(max_length=MAX_OUTPUTS)] = Field(default_factory=list)

    def check(self) -> None:
        """Hold the members of begin and of finish against their forms."""
        PlanBody.check(self)
        FinishBody.check(self)


class DigestsBody(Wire):
    """Digests to be looked up together."""

    digests: Annotated[list[str], Field(max_length=MAX_MEMBERS)]


class ContentsBody(Wire):
    """Contents of files to be looked up together, each by the hex of its sha256."""

    digests: Annotated[list[str], Field(max_length=MAX_TREE_DIGESTS)]


class FrameBody(Wire):
    """A frame of a pack and the files that lie back to back in it: (hex, size)."""

    offset: int
    length: int
    # JSON has no tuples, so strict reading would refuse every list here.
    files: list[Annotated[tuple[StrictStr, StrictInt], Field(strict=False)]]


class PackBody(Wire):
    """What lies in a pack."""

    digest: str
    frames: list[FrameBody]

    def to_claim(self) -> PackClaim:
        """The claim this makes."""
        frames = ((frame.offset, frame.length, frame.files) for frame in self.frames)
        return PackClaim.of(Digest.parse(self.digest), frames)


class TreeBody(Wire):
    """Where the files of a tree are said to lie."""

    packs: Annotated[list[PackBody], Field(max_length=MAX_PACKS)]
