"""SLSA Provenance v1 as a verifier reads it: only what is checked, strictly.

https://slsa.dev/spec/v1.2/build-provenance. Unset, null and empty mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from provenance.statement import ResourceDescriptor, Strict, parsed

PROVENANCE_V1: Final = "https://slsa.dev/provenance/v1"


class Builder(Strict):
    """Who ran the step and is trusted to say so."""

    id: str = Field(min_length=1)


class RunDetails(Strict):
    """How the step was run."""

    builder: Builder


class BuildDefinition(Strict):
    """What was asked for, and what it used."""

    build_type: str = Field(alias="buildType", min_length=1)
    external_parameters: dict[str, object] = Field(alias="externalParameters")
    resolved_dependencies: Annotated[tuple[ResourceDescriptor, ...], Field(strict=False)] | None = Field(
        default=None, alias="resolvedDependencies"
    )


class Provenance(Strict):
    """How the subjects of a statement came to be."""

    build_definition: BuildDefinition = Field(alias="buildDefinition")
    run_details: RunDetails = Field(alias="runDetails")

    @property
    def builder_id(self) -> str:
        """Who is said to have built it."""
        return self.run_details.builder.id

    @property
    def source(self) -> ResourceDescriptor | None:
        """The source named among the external parameters, if one is.

        Raises:
            EvidenceError: it is there and is no reference.
        """
        given = self.build_definition.external_parameters.get("source")
        if not isinstance(given, Mapping):
            return None
        return parsed(ResourceDescriptor, given, "a reference to a source")

    @classmethod
    def parse(cls, predicate: Mapping[str, object] | None) -> Provenance:
        """Read the predicate of a verified statement.

        Raises:
            EvidenceError: it is not SLSA provenance.
        """
        return parsed(cls, predicate or {}, "SLSA provenance")
