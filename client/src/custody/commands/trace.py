"""`custody trace`: what an artifact was made from, or what was made from it."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from custody.wire import Document

MAX_DEPTH = 100

_DESCRIPTION = """\
Draw the steps that led to a file or digest, with what each of them consumed.
With --down, draw what was made from it instead: who is affected by a bad input.

A drawing is what the service says. `custody verify` checks signatures.
"""

_EPILOG = """\
examples:
  custody trace dist/app.whl
  custody trace gitCommit:9fceb02…  --down
  custody trace sha256:4bf1…  --depth 1 --json
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("trace", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("subject", metavar="DIGEST|PATH")
    parser.add_argument("--depth", type=int, default=20, metavar="N", help="steps to go back (default: 20)")
    parser.add_argument("--down", action="store_true", help="show what was made from it")
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the lineage of one artifact; exit 3 if it is not recorded."""
    from custody.commands.access import service, settings
    from custody.errors import MisuseError
    from custody.subjects import subject_digest

    if not 1 <= chosen.depth <= MAX_DEPTH:
        raise MisuseError(f"--depth goes from 1 to {MAX_DEPTH}")
    found = settings(chosen)
    digest = subject_digest(chosen.subject)
    direction = "down" if chosen.down else "up"
    with service(found) as remote:
        lineage = remote.lineage(digest, direction=direction, depth=chosen.depth)
    _print(lineage, as_json=chosen.json)
    if not chosen.json:
        _next(lineage, digest)
    return exits.OK


def _print(lineage: Document, *, as_json: bool) -> None:
    import sys

    from custody.terminal import say
    from custody.tree import draw

    if as_json:
        import json

        say(json.dumps(lineage))
        return
    for line in draw(lineage, stream=sys.stdout):
        say(line)


def _next(lineage: Document, digest: str) -> None:
    from custody.terminal import note, plain
    from custody.wire import listed

    if not listed(lineage, "steps"):
        note("recorded, but no step is known to have made or used it")
    else:
        note(f"next    custody verify {plain(digest)}")
