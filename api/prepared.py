"""Whether a data folder needs preparing; answered without the libraries that prepare it.

Loading those takes longer than everything else a start does, and all but the first start
find nothing to do.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from api.settings import Settings

_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"


def is_prepared(settings: Settings) -> bool:
    """Whether schema and first token are there. No is always a safe answer."""
    index = settings.data / "index" / "custody.db"
    if settings.database_url is not None or not settings.token_file.exists() or not index.exists():
        return False
    newest = max(path.name[:4] for path in _VERSIONS.glob("[0-9]*_*.py"))
    try:
        connection = sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)
        try:
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            tokens = connection.execute("SELECT count(*) FROM token").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return bool(version == (newest,) and tokens != (0,))
