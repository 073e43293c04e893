"""A whole finished step, sent in one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from artifacts.queries.products import ProductRow
from artifacts.refs import ArtifactRef
from artifacts.wire import FinishBody


@dataclass(frozen=True, slots=True)
class WholeStep:
    """Everything of a step that ran elsewhere; nothing in it is more than reported."""

    project: str
    run: str | None
    step: str
    name: str
    principal: str
    begun: str
    """Canonical text of the plan and all references: what a repeated request is compared with."""
    source: ArtifactRef | None
    inputs: tuple[ArtifactRef, ...]
    products: tuple[ProductRow, ...]
    body: FinishBody
    via: str = "record"

    def references(self) -> Iterator[ArtifactRef]:
        """Every reference the step names."""
        if self.source is not None:
            yield self.source
        yield from self.inputs
        for product in self.products:
            yield product.ref

    def __len__(self) -> int:
        """How many inputs, outputs and byproducts it names."""
        return len(self.inputs) + len(self.products)
