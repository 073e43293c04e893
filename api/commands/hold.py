"""`custody-server hold`: what is held is removed by no rule."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Final

from api.commands.options import add_folder, settings_of

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.db import Database
    from artifacts.digest import Digest
    from artifacts.queries.holds import Held

_NOTHING_FOUND: Final = 3
_LOOK_SECONDS: Final = 0.1
_DESCRIPTION: Final = """\
Hold the bytes of a digest: no retention rule and no collection removes a blob or a tree that is
held, and purge refuses it. It counts at once. The signer signs each word about a hold, so that it
outlives the index; the command waits for that.

Needs a login to the index that may write holds: with PostgreSQL that is its owner, no role of a
process. Works beside a running service.
"""
_EPILOG: Final = (
    "exit status: 0 done, 1 too late, the bytes are being removed; 3 no such project, or not held"
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "hold",
        help="keep a blob or a tree from being removed by any rule",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("digest", metavar="DIGEST", nargs="?", type=_digest, help="sha256:… of blob or tree")
    command.add_argument("--project", metavar="NAME", help="whose bytes (default: default; with --list: all)")
    command.add_argument("--reason", type=_reason, metavar="TEXT", help="why; it is signed and listed")
    command.add_argument("--lift", action="store_true", help="end the hold; rules decide again")
    command.add_argument("--list", action="store_true", help="show what is held")
    command.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for the signature (default: 10)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_folder(command)
    command.set_defaults(run=run, misused=command.error)


def _digest(text: str) -> Digest:
    from artifacts.digest import Digest
    from artifacts.errors import InvalidInputError

    try:
        digest = Digest.parse(text)
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(error.message) from error
    if digest.algorithm != "sha256":
        raise argparse.ArgumentTypeError("bytes are kept under their sha256 only")
    return digest


def _reason(text: str) -> str:
    from artifacts.errors import CustodyError
    from artifacts.refs import checked_name

    try:
        return checked_name(text, "the reason")
    except CustodyError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def run(args: argparse.Namespace) -> int:
    """Place, lift or list; 1 if it is too late, 3 if there is nothing to be held or lifted."""
    from artifacts.errors import ConflictError, NotFoundError

    if args.list == (args.digest is not None) or (args.list and args.lift):
        args.misused("name a digest, or --list")
    if not args.list and args.reason is None:
        args.misused("--reason is needed: it says why, and is signed")
    settings = settings_of(args)
    try:
        return asyncio.run(_list(settings, args) if args.list else _say(settings, args))
    except (ConflictError, NotFoundError) as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return _NOTHING_FOUND if isinstance(error, NotFoundError) else 1


async def _list(settings: Settings, args: argparse.Namespace) -> int:
    from api import wiring
    from artifacts.queries import holds

    database = wiring.open_database(settings)
    try:
        async with database.reading() as connection:
            held = await holds.held(connection, args.project)
    finally:
        await database.close()
    if args.json:
        print(json.dumps({"held": [_members(one) for one in held]}))
        return 0
    for one in held:
        told = _members(one)
        signed = "signed" if one.attested else "not signed yet"
        print(f"{told['digest']}  {told['project']}  {told['at']}  {signed}  {told['reason']}")
    return 0


async def _say(settings: Settings, args: argparse.Namespace) -> int:
    from api import wiring
    from artifacts.clock import SystemClock
    from artifacts.holds import Holds

    database = wiring.open_database(settings)
    project = args.project or "default"
    try:
        operator = Holds(database, SystemClock())
        deed = operator.lift if args.lift else operator.place
        said = await _signed(database, await deed(project, args.digest, args.reason), seconds=args.wait)
        stored = args.lift or await _is_stored(database, project, args.digest)
    finally:
        await database.close()
    _tell(said, as_json=args.json)
    if not stored:
        print(f"note: nothing is stored under it in project {project} today", file=sys.stderr)
    return 0


async def _signed(database: Database, said: Held, *, seconds: float) -> Held:
    """The same word once it is signed, or as it is after `seconds`."""
    from artifacts.queries import holds

    until = time.monotonic() + seconds
    while said.attested is None and time.monotonic() < until:
        await asyncio.sleep(_LOOK_SECONDS)
        async with database.reading() as connection:
            last = await holds.last_word(connection, said.word.name.project, said.word.name.digest)
        if last is None or last.word != said.word:
            break  # somebody said something else since
        said = last
    return said


async def _is_stored(database: Database, project: str, digest: Digest) -> bool:
    from artifacts.queries import receipts, trees

    async with database.reading() as connection:
        blob = await receipts.stored_size(connection, project, digest)
        return blob is not None or digest in await trees.states(connection, project, [digest])


def _tell(said: Held, *, as_json: bool) -> None:
    told = _members(said)
    if as_json:
        print(json.dumps(told))
    else:
        print(f"{said.word.state} on {told['digest']} in project {told['project']}: {told['reason']}")
    if said.attested is None:
        print("note: it counts already; it is not signed yet, and is lost with the index", file=sys.stderr)
        print("hint: custody-server hold --list says when the signer has signed it", file=sys.stderr)


def _members(held: Held) -> dict[str, str | None]:
    from artifacts.clock import written

    word = held.word
    return {
        "project": word.name.project,
        "digest": str(word.name.digest),
        "event": word.name.event,
        "state": word.state,
        "reason": word.reason,
        "at": written(word.at),
        "attested": None if held.attested is None else str(held.attested),
    }
