"""What the commands about trees share."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from custody.commands.access import service, settings
from custody.errors import MisuseError
from custody.output_names import printable_name
from custody.references import parse
from custody.trees.compare import Side
from custody.trees.escapes import escape
from custody.trees.fetching import source
from custody.trees.manifest import Manifest


def tree_digest(written: str) -> str:
    """Return the hex sha256 in `written`, which names a tree.

    Raises:
        MisuseError: It is no sha256.
    """
    found = parse(written)
    if found.algorithm != "sha256":
        raise MisuseError(f"{found.digest} is not the digest of a tree", hint="a tree has a sha256")
    return found.hex


def manifest_of(chosen: Namespace, written: str) -> Manifest:
    """Return the tree that `written` names, from this machine's store or the service.

    Raises:
        ClientError: There is none, or it is not what its digest says.
    """
    sha256 = tree_digest(written)
    with service(settings(chosen)) as remote:
        found = source(remote.transport, os.environ)
        try:
            return found.manifest(sha256)
        finally:
            found.close()


def manifest_of_directory(path: str, *, ignore: bool) -> Manifest:
    """Return the tree that a local directory is; nothing of it leaves this machine."""
    from custody.trees.keeping import captured

    return captured(path, os.environ, ignore=ignore, allow_secrets=True).manifest


def described(path: bytes, found: Side) -> dict[str, object]:
    """Return an entry as JSON shows it.

    `path` is printable; `escaped` is the exact name, written as a manifest writes it.
    """
    return {"path": printable_name(os.fsdecode(path)), "escaped": escape(path).decode(), **asdict(found)}


def say_long(head: Mapping[str, object], lists: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Print one line of JSON: the members of `head`, then lists of what is JSON already, never whole in memory."""
    write = sys.stdout.write
    write(json.dumps(head)[:-1])
    for name, members in lists:
        write(f', "{name}": [')
        for number, member in enumerate(members):
            write(f", {member}" if number else member)
        write("]")
    write("}\n")
