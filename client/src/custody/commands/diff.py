"""`custody diff`: what differs between two trees, or directories."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from custody.trees.compare import Difference
    from custody.trees.manifest import Manifest

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
    from custody.trees.compare import differences

    before, after = _side(chosen, chosen.left), _side(chosen, chosen.right)
    found = list(differences(before, after)) if before.sha256 != after.sha256 else []
    if chosen.json:
        _print_json(before, after, found)
    else:
        _print_lines(found)
    return exits.FAILED if found else exits.OK


def _side(chosen: argparse.Namespace, written: str) -> Manifest:
    from custody.commands.trees import manifest_of, manifest_of_directory
    from custody.references import looks_like_reference

    if looks_like_reference(written):
        return manifest_of(chosen, written)
    return manifest_of_directory(written, ignore=chosen.ignore)


def _print_lines(found: list[Difference]) -> None:
    import os

    from custody.terminal import plain, say

    for one in found:
        say(f"{_mark(one)} {plain(os.fsdecode(one.path), limit=5000)}")


def _mark(one: Difference) -> str:
    if one.before is not None and one.after is not None:
        return "m" if one.before.digest == one.after.digest else "~"
    return "+" if one.before is None else "-"


def _print_json(before: Manifest, after: Manifest, found: list[Difference]) -> None:
    import json

    from custody.commands.trees import described
    from custody.terminal import say

    answer: dict[str, object] = {"before": before.digest, "after": after.digest, "same": not found}
    for kind in ("added", "removed"):
        sides = [(one.path, one.after or one.before) for one in found if one.kind == kind]
        answer[kind] = [described(path, side) for path, side in sides if side is not None]
    answer["changed"] = [
        {"before": described(one.path, one.before), "after": described(one.path, one.after)}
        for one in found
        if one.before is not None and one.after is not None
    ]
    say(json.dumps(answer))
