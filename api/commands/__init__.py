"""The operator's commands, one module each; each returns the exit status.

0 done, 1 failed, 2 misused, 3 nothing found, 4 service or network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from api.version import VERSION
from artifacts.errors import CustodyError

_COMMANDS: Final = (
    "serve",
    "api",
    "signer",
    "worker",
    "env",
    "migrate",
    "doctor",
    "reindex",
    "scrub",
    "collect",
    "compact",
    "purge",
    "tokens",
    "hold",
    "log",
    "completion",
)
_EPILOG: Final = """\
start here:
  custody-server serve --data ./custody-data
  eval "$(custody-server env --data ./custody-data)"
  custody run -- make dist

Settings come from CUSTODY_* variables; flags win over them.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of `custody-server`, with every command."""
    top = argparse.ArgumentParser(
        prog="custody-server",
        description="Run the Custody artifact and provenance service",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"custody-server {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _COMMANDS:
        import_module(f"api.commands.{name}").register(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130
    except CustodyError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 4
    except BrokenPipeError:
        sys.stderr.close()
        return 1
