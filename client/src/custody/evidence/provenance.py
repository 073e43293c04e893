"""SLSA Provenance v1 as a verifier reads it: only what is checked, strictly.

https://slsa.dev/spec/v1.2/build-provenance. Unset, null and empty mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from custody.evidence.errors import EvidenceError
from custody.evidence.statement import Reference
from custody.strict_json import JsonObject

PROVENANCE_V1: Final = "https://slsa.dev/provenance/v1"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How the subjects of a statement came to be."""

    builder_id: str
    build_type: str
    external_parameters: JsonObject
    resolved_dependencies: tuple[Reference, ...]

    @property
    def source(self) -> Reference | None:
        """The source named among the external parameters, if one is.

        Raises:
            EvidenceError: it is there and is no reference.
        """
        given = self.external_parameters.get("source")
        return Reference.from_dict(given) if isinstance(given, dict) else None

    @classmethod
    def parse(cls, predicate: JsonObject) -> Provenance:
        """Read the predicate of a verified statement.

        Raises:
            EvidenceError: it is not SLSA provenance.
        """
        match predicate:
            case {
                "buildDefinition": {
                    "buildType": str(build_type),
                    "externalParameters": dict(external),
                    **definition,
                },
                "runDetails": {"builder": {"id": str(builder_id)}},
            } if build_type and builder_id:
                pass
            case _:
                raise EvidenceError("not SLSA provenance: needs a builder, a build type and parameters")
        dependencies = definition.get("resolvedDependencies") or []
        if not isinstance(dependencies, list):
            raise EvidenceError("resolvedDependencies is a list")
        return cls(builder_id, build_type, external, tuple(map(Reference.from_dict, dependencies)))
