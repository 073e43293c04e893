"""Where other people's test vectors are; none of them is copied into this repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("CUSTODY_VECTORS") or Path(__file__).parents[3] / "shared" / "vectors")
IN_CI = bool(os.environ.get("CI"))
MISSING = f"the vectors are not at {ROOT}; set CUSTODY_VECTORS to where they are"


def load(name: str) -> Any:  # vectors are whatever JSON their authors wrote
    """The JSON vector file `name`; fails, and says why, where there is none."""
    if not ROOT.is_dir():
        pytest.fail(MISSING)
    return json.loads((ROOT / name).read_bytes())


def cases(name: str) -> list[Any]:
    """The cases of a vector file as parameters; one that will fail where the folder is missing."""
    if not ROOT.is_dir():
        return [pytest.param(None, id="missing")]
    return [pytest.param(case, id=case["name"]) for case in load(name)["cases"]]


def files(folder: str, pattern: str) -> list[Any]:
    """The files of a vector folder as parameters; one that will fail where the folder is missing."""
    found = sorted((ROOT / folder).glob(pattern))
    return [pytest.param(path, id=path.name) for path in found] or [pytest.param(ROOT / folder, id="missing")]
