"""`custody completion`: scripts for shells, written from the command line's own definition."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Print a script that teaches a shell to complete the commands and options of custody.
"""

_EPILOG = """\
examples:
  eval "$(custody completion bash)"
  custody completion zsh > "${fpath[1]}/_custody"
  custody completion fish > ~/.config/fish/completions/custody.fish
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("completion", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Print the script for one shell."""
    from custody.__main__ import COMMANDS, build_parser
    from custody.completions import script
    from custody.terminal import say

    say(script(chosen.shell, build_parser(), COMMANDS).rstrip("\n"))
    return exits.OK
