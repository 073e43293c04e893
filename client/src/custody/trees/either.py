"""A digest whose kind is not known: a file, or else a tree."""

from __future__ import annotations

import os
from pathlib import Path

from custody.downloads import fetch_to_file
from custody.errors import NothingFoundError
from custody.service import Service


def fetch_either(project: Service, sha256: str, target: Path) -> None:
    """Fetch a file, or a directory where the digest is that of a tree.

    Raises:
        ContentError: The service sent other bytes.
        NothingFoundError: The service has neither.
        ServiceError: The service does not answer.
    """
    try:
        fetch_to_file(project, sha256, target)
    except NothingFoundError:
        from custody.trees.fetching import fetch, source

        found = source(project.transport, os.environ)
        try:
            if not found.knows(sha256):
                raise
            fetch(found, sha256, str(target))
        finally:
            found.close()
