"""`custody diff`: what differs between two trees, or directories."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from custody.trees.compare import Difference, Listing

_DESCRIPTION = """\
Compare two trees by content and mode. A and B are digests of trees, or local
directories, which are captured for it and sent nowhere.
"""

_EPILOG = """\
examples:
  custody diff sha256:4bf1… sha256:77ab…
  custody diff sha256:4bf1… ./checkout         has anything changed here?

+ added   - removed   ~ changed   m only its mode changed
exit status: 0 if they are the same, 1 if they differ.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("diff", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("left", metavar="A", help="a digest of a tree, or a directory")
    parser.add_argument("right", metavar="B", help="the same")
    parser.add_argument(
        "--ignore", action="store_true", help="leave out of directories what put --ignore does"
    )
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print what differs; exit 1 if anything does."""
    from contextlib import closing

    from custody.trees.compare import differences

    with closing(_side(chosen, chosen.left)) as before, closing(_side(chosen, chosen.right)) as after:
        if chosen.json:
            _print_json(before, after)
        else:
            _print_lines(differences(before, after))
        return exits.OK if before.digest == after.digest else exits.FAILED


def _side(chosen: argparse.Namespace, written: str) -> Listing:
    from custody.commands.trees import manifest_of, manifest_of_directory
    from custody.references import looks_like_reference
    from custody.trees.compare import listing

    if looks_like_reference(written):
        return listing(manifest_of(chosen, written))
    return listing(manifest_of_directory(written, ignore=chosen.ignore))


def _print_lines(found: Iterable[Difference]) -> None:
    import os

    from custody.terminal import plain, say

    for one in found:
        say(f"{_mark(one)} {plain(os.fsdecode(one.path), limit=5000)}")


def _mark(one: Difference) -> str:
    if one.before is not None and one.after is not None:
        return "m" if one.before.digest == one.after.digest else "~"
    return "+" if one.before is None else "-"


def _print_json(before: Listing, after: Listing) -> None:
    """Print the differences piece by piece: of large trees there may be millions."""
    import json

    from custody.commands.trees import say_long
    from custody.trees.compare import differences

    def of(kind: str) -> Iterator[object]:
        return (_described(one) for one in differences(before, after) if one.kind == kind)

    head = {"before": before.digest, "after": after.digest, "same": before.digest == after.digest}
    lists = ((kind, map(json.dumps, of(kind))) for kind in ("added", "removed", "changed"))
    say_long(head, lists)


def _described(one: Difference) -> object:
    from custody.commands.trees import described

    sides = [side and described(one.path, side) for side in (one.before, one.after)]
    return {"before": sides[0], "after": sides[1]} if all(sides) else sides[0] or sides[1]
