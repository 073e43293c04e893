"""Asking git without letting a repository answer with a program of its own.

A checkout is a stranger's: its configuration may name hooks, monitors, filters,
pagers and remotes that run commands. Only plumbing that reads objects is called
here, with an environment made from nothing.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMEOUT = 30.0

# Over the repository's own configuration, which cannot override these.
_OPTIONS = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.untrackedCache=false",
    "-c", "core.alternateRefsCommand=",
    "-c", "protocol.file.allow=never",
    "-c", "protocol.ext.allow=never",
)  # fmt: skip

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    # A replaced object would make a commit look like another one.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would fetch what is missing, over whatever its remote names.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "true",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_PASSED_ON = ("PATH", "HOME", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Git:
    """One repository, named by its `.git`, so that git searches for none and trusts no `core.worktree`."""

    git_dir: str
    environ: Mapping[str, str]

    def ask(self, *arguments: str, stdin: bytes = b"") -> bytes | None:
        """Return what git prints; None when it fails, takes too long, or is not there."""
        command: Sequence[str] = ("git", f"--git-dir={self.git_dir}", *_OPTIONS, *arguments)
        environment = {name: self.environ[name] for name in _PASSED_ON if name in self.environ}
        try:
            done = subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
                cwd=os.path.dirname(self.git_dir),
                env=environment | _ENVIRONMENT,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return done.stdout if done.returncode == 0 else None

    def line(self, *arguments: str) -> str | None:
        """Return the single line that git prints, or None."""
        answer = self.ask(*arguments)
        return None if answer is None else os.fsdecode(answer).removesuffix("\n")


def find_top(directory: str | os.PathLike[str]) -> str | None:
    """Return the nearest directory, `directory` itself or above, that holds a `.git`."""
    at = os.path.realpath(directory)
    while True:
        if os.path.lexists(f"{at}/.git"):
            return at
        above = os.path.dirname(at)
        if above == at:
            return None
        at = above
