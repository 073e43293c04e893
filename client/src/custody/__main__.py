"""The command `custody`: one module per command, each loaded only as far as it is needed."""

from __future__ import annotations

import sys

from custody import __version__, exits
from custody.commands import completion, digest, get, put, run, trace, verify
from custody.commands.outcome import guarded
from custody.commands.parser import Parser

_COMMANDS = (run, put, get, verify, trace, digest, completion)

_DESCRIPTION = """\
Record what a step consumed and produced, keep the bytes, verify who built what.

  custody run -- make dist            record a command, its inputs and its outputs
  custody verify dist/app.whl         check who says how this file was made
  custody trace dist/app.whl          show what it was made from
"""

_EPILOG = """\
The service is found through CUSTODY_URL and CUSTODY_TOKEN, the key to trust through
CUSTODY_PIN, or all three through ~/.config/custody/config.toml; never through the
working directory.

exit status: 0 done or verified, 1 failed, 2 misused, 3 nothing found,
             4 service or network, 5 refused by policy
             (custody run: that of the command)
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = build_parser()
    own, command = _split(given)
    chosen = parser.parse_args(own)
    if chosen.action is None:
        parser.print_help(sys.stderr)
        return exits.MISUSED
    chosen.after = command
    return guarded(chosen.action, chosen)


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="custody", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"custody {__version__}")
    parser.set_defaults(action=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in _COMMANDS:
        module.register(commands)
    return parser


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Separate what follows the first `--` of `custody run`: it is never ours to read."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
