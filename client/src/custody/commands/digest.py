"""`custody digest`: the address of some bytes."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Print the sha256 digest of files, as Custody and OCI write it. No service is asked.
"""

_EPILOG = """\
examples:
  custody digest dist/*.whl
  custody trace "$(custody digest model.bin | cut -d' ' -f1)"
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("digest", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the address of each file; exit 1 if any could not be read."""
    from custody.contents import hashed
    from custody.errors import ContentError
    from custody.terminal import complain, plain, say

    status = exits.OK
    for path in chosen.files:
        try:
            say(f"{hashed(path).digest}  {plain(path)}")
        except ContentError as error:
            complain(error.message, error.hint)
            status = exits.FAILED
    return status
