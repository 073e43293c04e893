"""`python -m tests.attacks`: write the table of attacks into docs/reliability.md.

Each file attacks from somewhere: `FROM` names the rows of docs/threat-model.md. The rest
of the table is read from the files themselves.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests import tables

COMMAND: Final = "python -m tests.attacks"
HERE: Final = Path(__file__).parent
FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "test_bad_digests": ("a project token",),
    "test_bad_json": ("a project token",),
    "test_chosen_payloads": ("api process",),
    "test_finished_steps": ("a project token", "a step token"),
    "test_forged_control": ("database", "bucket or data directory"),
    "test_forged_host": ("network",),
    "test_forged_packs": ("whoever sends a tree",),
    "test_forged_trees": ("whoever sends a tree",),
    "test_hostile_receipts": ("api process", "worker process"),
    "test_hostile_records": ("api process",),
    "test_hostile_rows": ("database",),
    "test_idempotency_keys": ("a project token",),
    "test_limits": ("a project token", "the api's event loop"),
    "test_no_outbound_calls": ("a project token",),
    "test_other_runs": ("a project token",),
    "test_other_tenants": ("a project token",),
    "test_other_tenants_removals": ("a project token",),
    "test_path_tricks": ("a project token",),
    "test_planted_content": ("bucket or data directory",),
    "test_planted_objects": ("bucket or data directory",),
    "test_presigned_urls": ("a URL of the object store",),
    "test_purging": ("a project token",),
    "test_races": ("a project token", "signer process, or its key"),
    "test_reput_between_hash_and_publish": ("a URL of the object store",),
    "test_second_bytes": ("a project token",),
    "test_rewritten_log": ("database", "bucket or data directory", "signer process, or its key"),
    "test_secrets_stay_out": ("database", "bucket or data directory"),
    "test_step_tokens": ("a step token",),
    "test_step_uploads": ("a step token",),
    "test_stopping_objects": ("bucket or data directory",),
}
"""Which parts of the system the attacker of a file controls."""


def table() -> str:
    """A row for each file: where it attacks from, what must hold, how many tests say so."""
    head = ("attack from", "must hold", "tests", "file")
    rows = [
        ("; ".join(FROM.get(path.stem, ())), _claim(path), _count(path), f"`tests/attacks/{path.name}`")
        for path in files()
    ]
    return tables.table(head, sorted(rows))


def files() -> list[Path]:
    """Every file of attacks."""
    return sorted(HERE.glob("test_*.py"))


def _claim(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).removesuffix(".")


def _count(path: Path) -> int:
    """The test functions; most of them run with many inputs."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return len([node for node in tests if node.name.startswith("test_")])


if __name__ == "__main__":
    tables.write(COMMAND, table())
