"""`custody run`: record a command, unchanged."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Run a command and record what it consumed and produced. Nothing about the command
changes: its input, output and exit status are passed through, and it runs even if
the service is down (unless --require); the record then waits for custody flush.

Found by itself: the git source, clean or with what differs; the CI system; times and
exit status; files created or changed below the working directory. Left out: what
.custodyignore names (gitignore syntax), VCS, dependency and cache folders, .env files,
keys. Secrets in the command, the environment and the log are masked.

The command sees pipes for its standard output and error, not a terminal.
"""

_EPILOG = """\
examples:
  custody run -- make dist
  custody run --name wheel --output 'dist/*.whl' -- python -m build
  custody run --run nightly --input data.csv --param epochs=3 -- python train.py
  custody run --input https://example.com/base.img@sha256:77ab… -- ./pack.sh
  custody run --dry-run -- make dist       show what would be recorded, run nothing

What is recorded is what this machine reports. A command that fails is recorded too,
as a failure. exit status: that of the command (128 and the signal if it was killed);
with --require, 4 if it succeeded and could not be recorded.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from argparse import SUPPRESS

    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser(
        "run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        usage="custody run [options] -- COMMAND [ARGUMENT ...]",
    )
    _add_facts(parser)
    _add_behaviour(parser)
    add_service_options(parser)
    add_json_option(parser)
    parser.add_argument("stray", nargs="*", help=SUPPRESS)
    parser.set_defaults(action=run)


def _add_facts(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("what to record").add_argument
    option("--name", metavar="NAME", help="name of the step (default: from the command)")
    option("--run", metavar="ID|NAME", help="the run it belongs to (default: a run of its own)")
    option(
        "--input",
        metavar="REF|PATH",
        action="append",
        default=[],
        help="consumed: a file, a folder, URI@sha256:…",
    )
    option(
        "--output",
        metavar="GLOB|DIR/",
        action="append",
        default=[],
        help="produced; instead of all that changed. DIR/ is one output, a tree",
    )
    option("--param", metavar="K=V", action="append", default=[], help="a parameter of the step")
    option("--env", metavar="NAME", action="append", default=[], help="also record this environment variable")


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument_group("how").add_argument
    option("--require", action="store_true", help="fail unless it was recorded")
    option("--no-spool", action="store_true", help="without a service, keep no record for custody flush")
    option("--give-token", action="store_true", help="let the command add outputs: custody put, curl")
    option("--dry-run", action="store_true", help="show what would be recorded; run and send nothing")
    option("--no-cache", action="store_true", help="hash every file again")
    option("--allow-secrets", action="store_true", help="also capture files that look like secrets")


def run(chosen: argparse.Namespace) -> int:
    """Run and record one command; return its exit status."""
    from custody.errors import MisuseError
    from custody.running.plan import plan_of
    from custody.running.session import conduct

    if chosen.stray or not chosen.after:
        shown = " ".join(chosen.stray) or "make dist"
        raise MisuseError("the command stands after --", hint=f"custody run -- {shown}")
    return conduct(plan_of(chosen))
