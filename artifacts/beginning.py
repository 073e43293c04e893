"""Beginning a step: what is asked for, the row that it becomes, and whose run it may join."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries import steps
from artifacts.queries.steps import StepRow
from artifacts.refs import ArtifactRef
from artifacts.steps import Run, StepState, check_joins


@dataclass(frozen=True, slots=True)
class Beginning:
    """A request to begin a step; `begun` is the canonical text of its plan."""

    project: str
    principal: str
    step: str
    run: str | None
    name: str
    token_hash: bytes
    begun: str
    source: ArtifactRef | None
    seconds: int

    def row(self, now: int) -> StepRow:
        """The open step that it becomes."""
        return StepRow(
            id=self.step,
            project=self.project,
            run=self.run or self.step,
            name=self.name,
            principal=self.principal,
            state=StepState.OPEN.value,
            outcome=None,
            token_hash=self.token_hash,
            began_at=now,
            expires_at=now + self.seconds * 1000,
            finished_at=None,
            begun=self.begun,
            finished=None,
            record_digest=None,
        )


async def find(connection: AsyncConnection, wanted: Run, *, by_name: bool) -> Run | None:
    """The run that is known by the name of `wanted`, or by its id."""
    if by_name:
        return await steps.find_run(connection, wanted.project, found_by=wanted.name)
    return await steps.find_run(connection, wanted.project, id_=wanted.id)


def owned(found: Run, principal: str) -> Run:
    """`found`, if `principal` began it.

    Raises:
        ConflictError: somebody else did.
    """
    check_joins(principal, found.id, begun_by=found.principal)
    return found
