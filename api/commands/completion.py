"""`custody-server completion`: completion for a shell."""

from __future__ import annotations

import argparse
from typing import Final

_WORDS: Final = (
    "serve api signer worker env migrate doctor reindex scrub collect tokens completion --help --version"
)
_FLAGS: Final = "--data --listen --public-url --json --help"
_SCRIPTS: Final = {
    "bash": f"""\
_custody_server() {{
    local words="{_WORDS}"
    [ "$COMP_CWORD" -gt 1 ] && words="{_FLAGS}"
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _custody_server custody-server
""",
    "zsh": f"""\
#compdef custody-server
_custody_server() {{
    if (( CURRENT == 2 )); then compadd -- {_WORDS}; else compadd -- {_FLAGS}; _files; fi
}}
compdef _custody_server custody-server
""",
    "fish": f"""\
complete -c custody-server -n __fish_use_subcommand -f -a "{_WORDS}"
complete -c custody-server -n "not __fish_use_subcommand" -a "{_FLAGS}"
""",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("completion", help="print a completion script for a shell")
    command.add_argument("shell", choices=sorted(_SCRIPTS))
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(_SCRIPTS[args.shell], end="")
    return 0
