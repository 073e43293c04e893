"""Looking at the index before it is trusted."""

from __future__ import annotations

from urllib.parse import urlsplit

from api.settings import Settings
from artifacts.db import alter
from artifacts.errors import CustodyError
from artifacts.storage.checkup import Finding, Verdict
from migrations.checkup import findings


async def examine(settings: Settings, process: str | None) -> list[Finding]:
    """What is found about the index; nothing for SQLite, which `serve` makes as it must be."""
    if not settings.index_url.startswith("postgresql"):
        return []
    found: list[Finding] = []
    try:
        await alter(settings.index_url, lambda connection: found.extend(findings(connection, process)))
    except CustodyError as error:
        reason = error.facts.get("reason") or error.hint
        found.append(Finding("server", Verdict.BAD, f"{error.message}: {reason}"))
    return found


def shown(settings: Settings) -> str:
    """The address of the index without what is secret in it."""
    where = urlsplit(settings.index_url)
    port = f":{where.port}" if where.port else ""
    return f"postgresql://{where.hostname or ''}{port}{where.path}"
