"""`custody cache`: what this machine keeps of what it fetched."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
The node store keeps what was fetched, so that the next one on this machine need not
fetch it again. Nothing in it is trusted: all of it is hashed again at each use.

CUSTODY_NODE_STORE names its directory (off for none), CUSTODY_NODE_STORE_SIZE how
large it may grow (10GiB by default); what was not used for longest goes first.
"""

_EPILOG = """\
examples:
  custody cache dir                print where it is
  custody cache prune              remove what is more than allowed
  custody cache prune --size 0     remove everything
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option

    parser = commands.add_parser("cache", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("what", choices=("dir", "prune"), metavar="dir|prune")
    parser.add_argument("--size", metavar="SIZE", help="for prune: keep so much (500MiB, 10GiB)")
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print where the store is, or make room in it."""
    import os

    from custody.errors import MisuseError, NothingFoundError
    from custody.nodestore.location import location

    root = location(os.environ)
    if root is None:
        raise NothingFoundError("there is no node store", hint="CUSTODY_NODE_STORE turns it off or on")
    if chosen.what == "prune":
        return _prune(chosen, root)
    if chosen.size is not None:
        raise MisuseError("--size belongs to custody cache prune")
    _report(chosen, {"dir": root}, root)
    return exits.OK


def _prune(chosen: argparse.Namespace, root: str) -> int:
    import os

    from custody.nodestore.location import allowed_size
    from custody.nodestore.pruning import prune
    from custody.nodestore.sizes import parse_size

    limit = allowed_size(os.environ) if chosen.size is None else parse_size(chosen.size)
    found = prune(root, limit) if os.path.isdir(root) else None  # noqa: PTH112 - stays text
    entries, size, removed, freed = (
        (0, 0, 0, 0) if found is None else (found.entries, found.size, found.removed, found.freed)
    )
    answer = {
        "dir": root,
        "entries": entries - removed,
        "size": size - freed,
        "removed": removed,
        "freed": freed,
    }
    line = f"removed {removed} of {entries} entries, {freed} of {size} bytes, from {root}"
    _report(chosen, answer, line)
    return exits.OK


def _report(chosen: argparse.Namespace, answer: dict[str, object], line: str) -> None:
    from custody.terminal import plain, say

    if chosen.json:
        import json

        say(json.dumps(answer))
    else:
        say(plain(line, limit=5000))
