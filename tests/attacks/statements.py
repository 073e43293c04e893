"""Reading what was signed, without any of the code that signed it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = Any  # JSON


def statement_of(bundle: bytes) -> Json:
    """The statement inside a bundle."""
    return json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))


def statements(folder: Path) -> list[Json]:
    """Every statement that lies in the store, whether a row knows it or not."""
    found = sorted((folder / "objects" / "attestations").rglob("*.json"))
    return [statement_of(path.read_bytes()) for path in found]


def labels_of(statement: Json) -> set[str]:
    """Every label that stands anywhere in a statement."""
    return set(_labels(statement))


def _labels(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        annotations = value.get("annotations")
        if isinstance(annotations, dict):
            yield from (label for name, label in annotations.items() if name.startswith("custody_"))
        for member in value.values():
            yield from _labels(member)
    elif isinstance(value, list):
        for member in value:
            yield from _labels(member)
