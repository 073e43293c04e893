"""Completion scripts, made from the parser so that they never fall behind it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Completed:
    """A command as a completion knows it."""

    summary: str
    options: Mapping[str, str]


def commands_of(parser: argparse.ArgumentParser, summaries: Mapping[str, str]) -> dict[str, Completed]:
    """Return the commands of `parser` with their options and what each means."""
    found: dict[str, Completed] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for name, command in action.choices.items():
                found[name] = Completed(summaries.get(name, ""), _options(command))
    return found


def script(shell: str, parser: argparse.ArgumentParser, summaries: Mapping[str, str]) -> str:
    """Return the completion script for `shell`: bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands_of(parser, summaries))


def _options(command: argparse.ArgumentParser) -> dict[str, str]:
    found: dict[str, str] = {}
    for action in command._actions:  # noqa: SLF001 - argparse has no public way to list them
        for option in action.option_strings:
            if option.startswith("--"):
                found[option] = action.help or ""
    return found


def _bash(commands: Mapping[str, Completed]) -> str:
    cases = "\n".join(f"    {name}) words='{' '.join(found.options)}' ;;" for name, found in commands.items())
    return f"""\
_custody() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words='' word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    [ "$word" = -- ] && {{ COMPREPLY=(); compopt -o default; return; }}
  done
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '{" ".join(commands)} --help --version' -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=()
  case "$current" in -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;; esac
}}
complete -o default -F _custody custody
"""


def _zsh(commands: Mapping[str, Completed]) -> str:
    described = "\n".join(f"    {_quoted(f'{name}:{found.summary}')}" for name, found in commands.items())
    cases = "\n".join(f"    {name}) words=({' '.join(found.options)}) ;;" for name, found in commands.items())
    return f"""\
#compdef custody
_custody() {{
  local -a commands words_of
  commands=(
{described}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
{cases.replace("words=(", "words_of=(")}
  esac
  if [[ "$PREFIX" == -* ]]; then
    compadd -- $words_of
  else
    _default
  fi
}}
if [[ "$funcstack[1]" = _custody ]]; then _custody "$@"; else compdef _custody custody; fi
"""


def _fish(commands: Mapping[str, Completed]) -> str:
    lines = []
    for name, found in commands.items():
        lines.append(f"complete -c custody -n __fish_use_subcommand -f -a {name} -d {_quoted(found.summary)}")
        for option, meaning in found.options.items():
            where = f"-n '__fish_seen_subcommand_from {name}'"
            lines.append(f"complete -c custody {where} -l {option[2:]} -d {_quoted(meaning)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "").replace("\n", " ") + "'"
