"""Who may import whom, where import-linter's layers do not reach."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.house.tree import ROOT, SERVICE_ROOMS, imports, modules

# Which room may import a library of consequence; everywhere else in the service it is refused.
ALLOWED: dict[str, tuple[str, ...]] = {
    "fastapi": ("api/",),
    "starlette": ("api/",),
    "pydantic_settings": ("api/settings.py",),
    "boto3": ("artifacts/storage/s3.py",),
    "botocore": ("artifacts/storage/s3.py",),
    "sqlalchemy": ("tables/", "queries/", "db.py", "api/wiring.py", "migrations/"),
    "alembic": ("migrations/", "api/commands/"),
    "cryptography": ("provenance/", "client/"),
}
CLIENT_LIBRARIES = {"zstandard", "cryptography", "rich", "custody"}
CALLERS = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "urllib.request",
    "urllib3",
}
CONNECTING = {"create_connection", "open_connection", "open_unix_connection", "sock_connect"}
HEAD = re.compile(r"\n\nKind: (?:expand|contract|data)\nLocks: \S.*\nUndo: \S", re.MULTILINE)


def _allowed(path: Path, library: str) -> bool:
    room = f"{path.as_posix()}"
    return any(room.startswith(place) or f"/{place}" in f"/{room}" for place in ALLOWED[library])


@pytest.mark.parametrize("library", sorted(ALLOWED))
def test_a_library_stays_in_its_room(library: str) -> None:
    strays = [
        f"{path} imports {name}"
        for path, module in modules()
        if path.parts[0] in (*SERVICE_ROOMS, "client")
        for name in imports(_without_sessions(module))
        if name.partition(".")[0] == library and not _allowed(path, library)
    ]
    assert strays == []


def _without_sessions(module: ast.Module) -> ast.Module:
    """Leave out imports of what queries are handed: to name a connection is not to write SQL."""
    kept = [
        node
        for node in module.body
        if not (
            isinstance(node, ast.ImportFrom)
            and node.module == "sqlalchemy.ext.asyncio"
            and {alias.name for alias in node.names} <= {"AsyncConnection", "AsyncSession"}
        )
    ]
    return ast.Module(kept, [])


def test_the_rule_about_rooms_knows_a_stray_when_it_sees_one() -> None:
    assert _allowed(Path("artifacts/queries/steps.py"), "sqlalchemy")
    assert _allowed(Path("artifacts/db.py"), "sqlalchemy")
    assert not _allowed(Path("artifacts/digest.py"), "sqlalchemy")
    assert not _allowed(Path("provenance/verify.py"), "fastapi")
    written = ast.parse("from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine")
    assert list(imports(_without_sessions(written))) == ["sqlalchemy.ext.asyncio"]
    named = ast.parse("from sqlalchemy.ext.asyncio import AsyncSession")
    assert list(imports(_without_sessions(named))) == []


def test_the_client_imports_the_standard_library_and_three_others() -> None:
    import sys

    foreign = {
        f"{path}: {name}"
        for path, module in modules()
        if path.is_relative_to("client/src")
        for name in imports(module)
        if name.partition(".")[0] not in CLIENT_LIBRARIES | set(sys.stdlib_module_names)
    }
    assert foreign == set()


def test_the_service_has_nothing_to_call_out_with() -> None:
    """Artifact URIs are never fetched: but for `serve`, which asks its own api, nothing could fetch one."""
    able = [
        f"{path}: {name}"
        for path, module in modules()
        if path.parts[0] in SERVICE_ROOMS and path != Path("api/commands/serve.py")
        for name in [*_qualified(module), *_attributes(module)]
        if name in CALLERS | CONNECTING or name.partition(".")[0] in CALLERS
    ]
    assert able == []


def _qualified(module: ast.Module) -> Iterator[str]:
    """Give imported modules, and `package.name` for every name taken from a package."""
    yield from imports(module)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _attributes(module: ast.Module) -> Iterator[str]:
    return (node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute))


def test_relative_imports_are_not_used() -> None:
    relative = [
        f"{path}:{node.lineno}"
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []


def test_a_migration_is_frozen_history() -> None:
    versions = [(path, module) for path, module in modules() if path.is_relative_to("migrations/versions")]
    versions = [(path, module) for path, module in versions if path.name != "__init__.py"]
    assert versions, "there is no migration to look at"
    for path, module in versions:
        assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", path.name), path
        assert HEAD.search(ast.get_docstring(module) or ""), f"{path} does not say Kind, Locks, Undo"
        ours = {name for name in imports(module) if name.partition(".")[0] in (*SERVICE_ROOMS, "custody")}
        assert ours == set(), path


def test_migrations_form_one_line() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "migrations/versions").glob("[0-9]*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_every_migration_has_its_line_in_the_log() -> None:
    log = (ROOT / "migrations/README.md").read_text()
    numbers = [path.name[:4] for path in (ROOT / "migrations/versions").glob("[0-9]*.py")]
    missing = [number for number in numbers if f"| {number} |" not in log]
    assert missing == []


def test_no_other_distribution_claims_a_name_of_ours() -> None:
    claimed = packages_distributions()
    strangers = {name: set(claimed.get(name, ())) - {"custody-server"} for name in SERVICE_ROOMS}
    assert {name: found for name, found in strangers.items() if found} == {}
    assert set(claimed.get("custody", ())) <= {"custody"}


def test_the_service_is_kept_off_package_indexes() -> None:
    assert '"Private :: Do Not Upload"' in (ROOT / "pyproject.toml").read_text()
