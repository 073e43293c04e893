"""The sealed record of a finished step: the one thing the signer reads.

`docs/formats.md` (Record) says what each member means. A record is written once, as
one line; its digest is the sha256 of that line without the newline, and its bytes are
what everything later is built from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from artifacts.refs import ArtifactRef, Scalar
from artifacts.steps import Outcome

RECORD_V1 = "custody/v1"


@dataclass(frozen=True, slots=True)
class Product:
    """An output or byproduct: a reference, and what the data plane knows of its bytes."""

    ref: ArtifactRef
    size: int | None = None
    received: bool = False
    """The data plane took these bytes from this step's token between begin and finish."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What the step said of itself; never more than its own word."""

    began_at: str | None = None
    finished_at: str | None = None
    exit_status: int | None = None
    client: str | None = None
    ci: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Record:
    """A finished step as the control plane sealed it."""

    project: str
    run: str
    step: str
    name: str
    principal: str
    via: str
    outcome: Outcome
    began_at: datetime
    finished_at: datetime
    command: tuple[str, ...] = ()
    parameters: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    source: ArtifactRef | None = None
    reported: Reported = field(default_factory=Reported)
    inputs: tuple[ArtifactRef, ...] = ()
    outputs: tuple[Product, ...] = ()
    byproducts: tuple[Product, ...] = ()
