"""What steps consumed and produced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.errors import ConflictError, LimitExceededError
from artifacts.limits import MAX_INPUT_BYTES, MAX_INPUTS, MAX_OUTPUT_BYTES, MAX_OUTPUTS
from artifacts.queries.addresses import address
from artifacts.queries.dialect import insert, insert_new, octets
from artifacts.refs import ArtifactRef
from artifacts.steps import Role
from artifacts.tables import artifact, step_input, step_output
from artifacts.wire import canonical, reference_members

Digests = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProductRow:
    """An output or byproduct about to be recorded; its reference has a name."""

    ref: ArtifactRef
    role: Role
    size: int | None = None
    received: bool = False


@dataclass(frozen=True, slots=True)
class Consumed:
    """An input as it goes into the record."""

    step: str
    body: str


@dataclass(frozen=True, slots=True)
class Produced:
    """An output or byproduct as it goes into the record."""

    step: str
    role: str
    body: str
    size: int | None
    received: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """What one step consumed and produced, in the order of the record."""

    inputs: list[Consumed] = field(default_factory=list)
    outputs: list[Produced] = field(default_factory=list)


def input_values(
    project: str, step_id: str, ref: ArtifactRef, *, role: Role = Role.INPUT
) -> dict[str, object]:
    """The row of one input, or of the source."""
    return {
        "project": project,
        "step": step_id,
        "role": role.value,
        "address": address(ref.digest),
        "uri": ref.uri or "",
        "name": ref.name or "",
        "body": canonical(reference_members(ref)),
    }


def output_values(project: str, step_id: str, product: ProductRow) -> dict[str, object]:
    """The row of one output or byproduct."""
    return {
        "project": project,
        "step": step_id,
        "role": product.role.value,
        "name": product.ref.name,
        "address": address(product.ref.digest),
        "size": product.size,
        "received": product.received,
        "body": canonical(reference_members(product.ref)),
    }


async def add_inputs(
    connection: AsyncConnection, project: str, step_id: str, refs: Sequence[ArtifactRef]
) -> int:
    """Record inputs of one step; return how many were new.

    Raises:
        LimitExceededError: the step would have too many, or more than fit a record.
    """
    mine = sa.and_(
        step_input.c.project == project,
        step_input.c.step == step_id,
        step_input.c.role == Role.INPUT.value,
    )
    before = await _count(connection, step_input, mine)
    await insert_new(connection, step_input, [input_values(project, step_id, ref) for ref in refs])
    after = await _count(connection, step_input, mine)
    if after > MAX_INPUTS:
        raise LimitExceededError(
            f"a step has at most {MAX_INPUTS} inputs", hint="name a directory as one input", step=step_id
        )
    await _check_room(connection, step_input, project, step_id, MAX_INPUT_BYTES)
    return after - before


async def add_source(connection: AsyncConnection, project: str, step_id: str, source: ArtifactRef) -> None:
    """Record what a step checked out, so that lineage can follow it."""
    await insert_new(connection, step_input, [input_values(project, step_id, source, role=Role.SOURCE)])


async def add_outputs(
    connection: AsyncConnection, project: str, step_id: str, products: Sequence[ProductRow]
) -> int:
    """Record outputs and byproducts of one step; return how many were new.

    A handful of statements however many there are: nothing else is answered meanwhile.

    Raises:
        ConflictError: a name stands for another digest, or for a reference that says something else.
        LimitExceededError: the step would have too many of a role, or more than fit a record.
    """
    mine = sa.and_(step_output.c.project == project, step_output.c.step == step_id)
    known = await _known(connection, mine, products)
    new = []
    for product in products:
        place = (product.role.value, product.ref.name or "")
        if place in known:
            await _again(connection, product, known[place], mine)
        else:
            known[place] = canonical(reference_members(product.ref))
            new.append(output_values(project, step_id, product))
    if new:
        await connection.execute(insert(connection, step_output), new)
        await _check_number(connection, mine, step_id)
        await _check_room(connection, step_output, project, step_id, MAX_OUTPUT_BYTES)
    return len(new)


async def _known(
    connection: AsyncConnection, mine: sa.ColumnElement[bool], products: Sequence[ProductRow]
) -> dict[tuple[str, str], str]:
    """The references that stand already under the roles and names of `products`."""
    names = sorted({product.ref.name or "" for product in products})
    found = await connection.execute(
        sa.select(step_output.c.role, step_output.c.name, step_output.c.body).where(
            mine, step_output.c.name.in_(names)
        )
    )
    return {(role, name): body for role, name, body in found}


async def _check_number(connection: AsyncConnection, mine: sa.ColumnElement[bool], step_id: str) -> None:
    counted = await connection.execute(
        sa.select(step_output.c.role, sa.func.count()).where(mine).group_by(step_output.c.role)
    )
    for role, count in counted:
        if count > MAX_OUTPUTS:
            raise LimitExceededError(
                f"a step has at most {MAX_OUTPUTS} {role}s", hint="pack them into one file", step=step_id
            )


async def _check_room(
    connection: AsyncConnection, table: sa.Table, project: str, step_id: str, most: int
) -> None:
    """Refuse here what would make the record too long: a step that cannot be sealed stays open for ever."""
    mine = sa.and_(table.c.project == project, table.c.step == step_id)
    taken = await connection.scalar(sa.select(sa.func.sum(octets(connection, table.c.body))).where(mine))
    if int(taken or 0) > most:
        raise LimitExceededError(
            f"the references of a step take at most {most} bytes",
            hint="shorten names and annotations, or name a directory as one",
            step=step_id,
        )


async def _again(
    connection: AsyncConnection, product: ProductRow, known: str, mine: sa.ColumnElement[bool]
) -> None:
    differing = _differing(reference_members(product.ref), orjson.loads(known))
    if differing:
        what = "digest" if "digest" in differing else " and ".join(differing)
        raise ConflictError(
            f"an output of that name has another {what}",
            hint="outputs cannot change once recorded; give it another name",
            name=product.ref.name,
            members=differing,
        )
    if product.received:
        # The bytes themselves have come now; what was a mere reference becomes more.
        same = sa.and_(mine, step_output.c.role == product.role.value, step_output.c.name == product.ref.name)
        await connection.execute(sa.update(step_output).where(same).values(received=True, size=product.size))


def _differing(said: Mapping[str, object], known: Mapping[str, object]) -> list[str]:
    """The members of a reference that are new or other than what is known; who repeats may say less."""
    # Both were written by `reference_members`.
    digests, stood = cast("Digests", said["digest"]), cast("Digests", known["digest"])
    found = [] if digests.items() <= stood.items() else ["digest"]
    return found + sorted(
        name for name, value in said.items() if name != "digest" and known.get(name) != value
    )


async def _count(connection: AsyncConnection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    counted = await connection.scalar(sa.select(sa.func.count()).select_from(table).where(where))
    return int(counted or 0)


async def touched_by(connection: AsyncConnection, project: str, steps: Sequence[str]) -> dict[str, Touched]:
    """What each of `steps` consumed and produced; two statements, however many steps."""
    found = {step: Touched() for step in steps}
    if steps:
        for consumed in await _inputs_of(connection, project, steps):
            found[consumed.step].inputs.append(consumed)
        for produced in await _outputs_of(connection, project, steps):
            found[produced.step].outputs.append(produced)
    return found


async def _inputs_of(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[Consumed]:
    found = await connection.execute(
        sa.select(step_input.c.step, step_input.c.body)
        .where(
            step_input.c.project == project,
            step_input.c.step.in_(steps),
            step_input.c.role == Role.INPUT.value,
        )
        .order_by(step_input.c.uri, step_input.c.name, step_input.c.address)
    )
    return [Consumed(*row) for row in found]


async def _outputs_of(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[Produced]:
    columns = step_output.c
    found = await connection.execute(
        sa.select(columns.step, columns.role, columns.body, columns.size, columns.received)
        .where(columns.project == project, columns.step.in_(steps))
        .order_by(columns.name)
    )
    return [Produced(*row) for row in found]


async def digests_of(connection: AsyncConnection, project: str, step_id: str) -> list[Digest]:
    """The sha256 digests a step names as outputs or byproducts."""
    same = sa.and_(artifact.c.project == step_output.c.project, artifact.c.address == step_output.c.address)
    found = await connection.scalars(
        sa.select(artifact.c.digest)
        .join(step_output, same)
        .where(
            step_output.c.project == project,
            step_output.c.step == step_id,
            artifact.c.algorithm == "sha256",
        )
    )
    return [Digest.sha256(raw) for raw in found]
