"""The command `custody`: one module per command, and only the one that is meant is loaded."""

from __future__ import annotations

import sys

from custody import __version__, exits
from custody.commands.parser import Parser

# Here and not in the modules, so that `custody --help` loads none of them.
COMMANDS = {
    "run": "record a command, its inputs and its outputs",
    "put": "upload a file or a directory",
    "get": "download a file or a directory and verify it",
    "ls": "list what is in a directory that was put",
    "diff": "show what differs between two directories",
    "verify": "check who says how something was made",
    "trace": "show what something was made from, or what was made from it",
    "audit": "check that the log of what was signed only ever grew",
    "flush": "deliver what was recorded while the service was away",
    "digest": "print the digest of files",
    "cache": "show or empty what this machine keeps of what it fetched",
    "completion": "print a completion script for a shell",
}

_DESCRIPTION = """\
Record what a step consumed and produced, keep the bytes, verify who built what.

  custody run -- make dist            record a command, its inputs and its outputs
  custody verify dist/app.whl         check who says how this file was made
  custody trace dist/app.whl          show what it was made from

commands:
"""

_EPILOG = """\
Each has its own --help, with examples. The service is found through CUSTODY_URL and
CUSTODY_TOKEN, the key to trust through CUSTODY_PIN, or all three through
~/.config/custody/config.toml; never through the working directory.

exit status: 0 done or verified, 1 failed, 2 misused, 3 nothing found,
             4 service or network, 5 refused by policy
             (custody run: that of the command)
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    own, after = _split(given)
    parser = build_parser(own[:1])
    chosen = parser.parse_args(own)
    if chosen.action is None:
        parser.print_help(sys.stderr)
        return exits.MISUSED
    from custody.commands.outcome import guarded

    chosen.after = after
    return guarded(chosen.action, chosen)


def build_parser(names: list[str] | None = None) -> Parser:
    """Return the parser of the command line, as far as the commands `names` are concerned: all by default."""
    names = list(COMMANDS) if names is None else names
    listed = "\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
    parser = Parser(
        prog="custody", usage="custody COMMAND ...", description=_DESCRIPTION + listed, epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"custody {__version__}")
    parser.set_defaults(action=None)
    known = [name for name in names if name in COMMANDS]
    if known:
        from importlib import import_module

        commands = parser.add_subparsers(metavar="COMMAND", prog="custody")
        for name in known:
            import_module(f"custody.commands.{name}").register(commands)
    elif names and not names[0].startswith("-"):
        parser.error(f"no such command: {names[0]}")
    return parser


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Separate what follows the first `--` of `custody run`: it is never ours to read."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
