"""What the command line of `custody run` asks for, checked."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from custody.errors import MisuseError
from custody.ids import is_ulid

MAX_NAME = 1024
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,63}")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")


@dataclass(frozen=True, slots=True)
class Plan:
    """A command to run and how to record it."""

    command: tuple[str, ...]
    root: str
    """The working directory; empty where somebody has removed it."""
    name: str | None
    run: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: dict[str, str]
    environment: tuple[str, ...]
    url: str | None
    require: bool
    give_token: bool
    dry_run: bool
    cache: bool
    allow_secrets: bool
    json: bool
    spool: bool = True

    def run_query(self) -> dict[str, str] | None:
        """Return what finds the run that was named, or None if none was."""
        if self.run is None:
            return None
        return {"id" if is_ulid(self.run) else "name": self.run}


def plan_of(chosen: argparse.Namespace) -> Plan:
    """Read the parsed command line.

    Raises:
        MisuseError: A parameter, name or variable is malformed.
    """
    return Plan(
        command=tuple(chosen.after),
        root=_working_directory(),
        name=_named(chosen.name, "--name"),
        run=_named(chosen.run, "--run"),
        inputs=tuple(chosen.input),
        outputs=tuple(chosen.output),
        parameters=parameters(chosen.param),
        environment=_variables(chosen.env),
        url=chosen.url,
        require=chosen.require,
        give_token=chosen.give_token,
        dry_run=chosen.dry_run,
        cache=not chosen.no_cache,
        allow_secrets=chosen.allow_secrets,
        json=chosen.json,
        spool=not chosen.no_spool,
    )


def default_name(command: Sequence[str]) -> str:
    """Return a name for a step that got none: `make dist` becomes `make-dist`."""
    first = Path(command[0]).name
    words = [first if _WORD.fullmatch(first) else "step"]
    if len(command) > 1:
        second = os.path.basename(command[1])  # noqa: PTH119 - any text, not a path
        if _WORD.fullmatch(command[1]) or ("/" in command[1] and _WORD.fullmatch(second)):
            words.append(second)
    return "-".join(words)


def parameters(written: Sequence[str]) -> dict[str, str]:
    """Read `K=V` pairs; values stay text, exactly as they were written.

    Raises:
        MisuseError: One has no `=`, no name, or a name twice.
    """
    found: dict[str, str] = {}
    for pair in written:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise MisuseError(f"--param {pair[:100]} is no K=V", hint="for example --param epochs=3")
        if found.setdefault(name, value) != value:
            raise MisuseError(f"--param {name[:100]} is given twice with different values")
    return found


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""


def _named(name: str | None, option: str) -> str | None:
    if name is not None and (not name or len(name) > MAX_NAME or _UNPRINTABLE.search(name)):
        raise MisuseError(f"{option} takes printable text of at most {MAX_NAME} characters")
    return name


def _variables(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise MisuseError(
                f"--env {name[:100]} is no name of a variable", hint="name it without its value"
            )
    return tuple(names)
