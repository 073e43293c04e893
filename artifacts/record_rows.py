"""The rows that a sealed record becomes when an index is filled again.

Made from the members of its line as they are: a line that counts was read strictly before,
by the signer or just now, and making domain values of every reference again would cost more
than all the rest of filling the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from artifacts.clock import to_milliseconds
from artifacts.digest import HEX_LENGTHS, Digest
from artifacts.queries.addresses import address
from artifacts.steps import Role
from artifacts.wire import canonical

Members = Mapping[str, Any]  # Any: JSON
Row = dict[str, Any]  # Any: column values
_PLAN: Final = ("name", "command", "parameters", "environment", "source")
_REPORTED: Final = ("client", "ci")
_FINISH: Final = ("exit_status", "began_at", "finished_at")
_KNOWN_OF_BYTES: Final = frozenset({"size", "received"})


@dataclass(slots=True)
class RecordRows:
    """Rows of many records, gathered by table; what several records name is there once."""

    artifacts: dict[tuple[str, bytes], Row] = field(default_factory=dict)
    aliases: dict[tuple[str, str, bytes, bytes], Row] = field(default_factory=dict)
    references: dict[tuple[str, bytes, str, str], Row] = field(default_factory=dict)
    inputs: list[Row] = field(default_factory=list)
    outputs: list[Row] = field(default_factory=list)

    def name(self, project: str, reference: Members, *, at: int, now: int) -> bytes:
        """Note the artifact that `reference` names and the name itself; return its address."""
        digests = reference["digest"]
        first = "sha256" if "sha256" in digests else min(digests, key=_ORDER.__getitem__)
        raw = bytes.fromhex(digests[first])
        filed = raw if first == "sha256" else address(Digest(first, digests[first]))
        known = {"algorithm": first, "digest": raw, "created_at": now, "named_at": now}
        self.artifacts.setdefault((project, filed), {"project": project, "address": filed, **known})
        if len(digests) > 1:
            self._other_digests(project, filed, digests, first)
        if "uri" in reference or "name" in reference:
            self._named(project, filed, reference, at)
        return filed

    def _other_digests(self, project: str, filed: bytes, digests: Mapping[str, str], first: str) -> None:
        for algorithm, text in digests.items():
            if algorithm != first:
                key = (project, algorithm, bytes.fromhex(text), filed)
                row = dict(zip(("project", "algorithm", "digest", "address"), key, strict=True))
                self.aliases.setdefault(key, row)

    def _named(self, project: str, filed: bytes, reference: Members, at: int) -> None:
        uri, name = reference.get("uri", ""), reference.get("name", "")
        key = (project, filed, uri, name)
        known = self.references.get(key)
        if known is None or at < known["recorded_at"]:
            self.references[key] = {
                "project": project,
                "address": filed,
                "uri": uri,
                "name": name,
                "media_type": reference.get("mediaType"),
                "recorded_at": at,
            }

    def touch(self, record: Members, *, now: int) -> None:
        """Note everything that `record` names, as what its step consumed and produced."""
        project, step = record["project"], record["step"]
        began_at, finished_at = moment(record["began_at"]), moment(record["finished_at"])
        for role, reference in _consumed(record):
            at = began_at if role is Role.SOURCE else finished_at
            filed = self.name(project, reference, at=at, now=now)
            self.inputs.append(
                {
                    "project": project,
                    "step": step,
                    "role": role.value,
                    "address": filed,
                    "uri": reference.get("uri", ""),
                    "name": reference.get("name", ""),
                    "body": canonical(reference),
                }
            )
        for role, product in _produced(record):
            plain = {name: value for name, value in product.items() if name not in _KNOWN_OF_BYTES}
            self.outputs.append(
                {
                    "project": project,
                    "step": step,
                    "role": role.value,
                    "name": product["name"],
                    "address": self.name(project, plain, at=finished_at, now=now),
                    "size": product.get("size"),
                    "received": product.get("received", False),
                    "body": canonical(plain),
                }
            )


_ORDER: Final = {algorithm: place for place, algorithm in enumerate(HEX_LENGTHS)}


def _consumed(record: Members) -> Iterator[tuple[Role, Members]]:
    if record.get("source"):
        yield Role.SOURCE, record["source"]
    for reference in record["inputs"]:
        yield Role.INPUT, reference


def _produced(record: Members) -> Iterator[tuple[Role, Members]]:
    for product in record["outputs"]:
        yield Role.OUTPUT, product
    for product in record["byproducts"]:
        yield Role.BYPRODUCT, product


@lru_cache(maxsize=1024)
def moment(text: str) -> int:
    """The milliseconds of a time as the control plane writes it; the rows of one record ask seven times."""
    return to_milliseconds(datetime.fromisoformat(text))


def begun(record: Members) -> str:
    """What begin said, as far as the record tells: a repeated request is compared with it.

    A step that was sent whole is known by its record alone, and has nothing here.
    """
    if record["via"] == "record":
        return ""
    said = {name: record[name] for name in _PLAN if record.get(name)}
    reported = {name: record["reported"][name] for name in _REPORTED if record["reported"].get(name)}
    return canonical({**said, **reported})


def finished(record: Members) -> str:
    """What finish said, as far as the record tells."""
    said = {name: record["reported"][name] for name in _FINISH if name in record["reported"]}
    return canonical({"outcome": record["outcome"], **said})


def members_of(line: bytes) -> dict[str, Any]:  # Any: JSON
    """The members of a line that was read strictly before."""
    members: dict[str, Any] = orjson.loads(line)
    return members
