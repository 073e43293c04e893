"""`custody ls`: what is in a tree, without fetching it."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from custody.trees.manifest import Manifest

_DESCRIPTION = """\
List a tree: mode, size, digest and path of each entry below PATH, or of all. The list
is checked against DIGEST; the files themselves are not fetched.
"""

_EPILOG = """\
examples:
  custody ls sha256:4bf1…
  custody ls sha256:4bf1… models/
  custody ls sha256:4bf1… --json README.md | jq -r '.entries[0].digest'

exit status: 3 if the tree is unknown, or nothing is at PATH.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("ls", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("digest", metavar="DIGEST", help="the digest that custody put DIR printed")
    parser.add_argument("path", metavar="PATH", nargs="?", help="a file or directory in the tree")
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the entries of a tree."""
    from array import array

    from custody.commands.trees import manifest_of
    from custody.errors import NothingFoundError

    manifest = manifest_of(chosen, chosen.digest)
    entries = array("I", _below(manifest, chosen.path))
    if not entries and chosen.path:
        raise NothingFoundError(f"{manifest.digest} has nothing at {chosen.path}")
    if chosen.json:
        _print_json(manifest, entries)
    else:
        _print_lines(manifest, entries)
    return exits.OK


def _below(manifest: Manifest, path: str | None) -> Iterator[int]:
    """Yield the entries at and below `path`, which is written as in a shell or as in `--json`."""
    import os

    wanted = os.fsencode(path or "").strip(b"/").removeprefix(b"./")
    below = wanted + b"/"
    for entry, found in enumerate(manifest.paths):
        if wanted in (b"", b".", found) or found.startswith(below):
            yield entry


def _print_lines(manifest: Manifest, entries: Sequence[int]) -> None:
    import os

    from custody.terminal import plain, say
    from custody.trees.compare import side

    width = max((len(str(manifest.sizes[entry])) for entry in entries), default=1)
    for entry in entries:
        found = side(manifest, entry)
        path = plain(os.fsdecode(manifest.paths[entry]), limit=5000)
        say(f"{found.mode}  {found.size:>{width}}  {found.digest or '-':<71}  {path}")


def _print_json(manifest: Manifest, entries: Sequence[int]) -> None:
    import json

    from custody.commands.trees import described, say_long
    from custody.trees.compare import side

    listed = (json.dumps(described(manifest.paths[entry], side(manifest, entry))) for entry in entries)
    say_long({"digest": manifest.digest, "size": manifest.size}, [("entries", listed)])
