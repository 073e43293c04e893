"""What the demonstration stands on: a terminal that shows and checks."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class UnexpectedError(Exception):
    """A command of the demonstration did not do what the demonstration says it does."""


def expect(condition: bool, complaint: str) -> None:
    """Stop the demonstration unless `condition` holds; it is a test too."""
    if not condition:
        raise UnexpectedError(complaint)


def say(text: str = "") -> None:
    """Print a line now, so that it stands before the output of what runs next."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def scene(title: str) -> None:
    """Begin a part of the story."""
    say(f"\n--- {title}")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs commands as a reader would type them, in `place`, with `variables` added to a bare environment."""

    place: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def given(self, variables: Mapping[str, str]) -> "Terminal":
        """Return the same terminal after `export`."""
        return Terminal(self.place, {**self.variables, **variables})

    def at(self, place: Path) -> "Terminal":
        """Return the same terminal after `cd`."""
        return Terminal(place, self.variables)

    def run(self, *command: str, status: int = 0) -> str:
        """Show and run `command`, show and return its standard output; it must exit with `status`."""
        return self._shown(shlex.join(command), command, status)

    def shell(self, line: str) -> str:
        """Show and run a line as a shell reads it; it must succeed."""
        return self._shown(line, ("sh", "-c", line), 0)

    def _shown(self, line: str, command: tuple[str, ...], status: int) -> str:
        say(f"$ {line}")
        done = subprocess.run(
            command, cwd=self.place, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False
        )
        if done.stdout:
            say(done.stdout.rstrip("\n"))
        expect(
            done.returncode == status,
            f"{command[0]} exited with {done.returncode} where {status} was expected",
        )
        return done.stdout

    def ask(self, *command: str) -> str:
        """Run `command` without showing it; it must succeed."""
        done = subprocess.run(
            command, cwd=self.place, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False
        )
        expect(done.returncode == 0, f"{shlex.join(command)} exited with {done.returncode}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Give our own environment without what would point to another service, with `variables` added."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
        return {**ours, **self.variables}
