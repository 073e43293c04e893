"""`custody-server purge`: remove the bytes of one digest for good."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from api.commands.options import add_folder, settings_of
from api.commands.progress import Progress

if TYPE_CHECKING:
    from api.repack_rounds import RepackParts
    from api.settings import Settings
    from artifacts.digest import Digest
    from artifacts.errors import CustodyError
    from artifacts.purging import Reach
    from artifacts.trees.repacking import Repacked

_NOTHING_FOUND: Final = 3
_OLDER: Final = 5
_SHOWN: Final = 20
_DESCRIPTION: Final = """\
Remove the bytes of one digest from a project for good, because a secret leaked: as a blob, and out
of every pack. Trees that have it become incomplete; all other files stay. The digest is refused
from then on. What is recorded and signed about it stays.

Nothing is reached outside of this store and this project: no other project (those that have it are
listed), no copy or older version that the store keeps, no backup, no machine that fetched it.
Change the secret first.

Works beside a running service, and without one. With PostgreSQL it needs the login of a worker, or
the owner's.
"""
_EPILOG: Final = (
    "exit status: 0 done; 1 held, or not all is removed yet; 2 no digest of a file; 3 nothing stored "
    "under it, or not barred; 5 the index is older than the bucket: reindex first"
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "purge",
        help="remove the bytes of one digest for good, out of packs too",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("digest", metavar="DIGEST", type=_digest, help="sha256:… of the file")
    command.add_argument(
        "--project", metavar="NAME", default="default", help="whose bytes (default: default)"
    )
    command.add_argument("--reason", type=_reason, metavar="TEXT", help="why; it is signed and kept")
    command.add_argument("--lift", action="store_true", help="take the digest in again from now on")
    command.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    command.add_argument(
        "--wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to work on what follows, which a worker ends otherwise (default: 60)",
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
    """Purge, or lift a bar; 1 if something is in the way, 3 if there is nothing to be purged."""
    from artifacts.errors import ConflictError, EvidenceError, InvalidInputError, NotFoundError

    if args.lift and args.dry_run:
        args.misused("--lift changes nothing but the bar; there is nothing to try")
    if args.reason is None and not args.dry_run:
        args.misused("--reason is needed: it says why, and is signed")
    try:
        return asyncio.run(_purge(settings_of(args), args))
    except ConflictError as error:
        return _failed(error, 1)
    except InvalidInputError as error:
        return _failed(error, 2)
    except NotFoundError as error:
        return _failed(error, _NOTHING_FOUND)
    except EvidenceError as error:
        return _failed(error, _OLDER)


def _failed(error: CustodyError, status: int) -> int:
    print(f"custody-server: {error.message}", file=sys.stderr)
    held = error.facts.get("held")
    if isinstance(held, list):
        print("\n".join(f"  {digest}" for digest in held), file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return status


async def _purge(settings: Settings, args: argparse.Namespace) -> int:
    from api import repack_rounds, wiring
    from artifacts.clock import SystemClock

    database, store = wiring.open_database(settings), wiring.open_store(settings)
    progress = Progress(quiet=args.json)
    try:
        seal = wiring.open_seal(settings)
        parts = repack_rounds.parts_of(settings, database, store, SystemClock(), seal)
        await parts.check()
        deed = _lift if args.lift else _look if args.dry_run else _remove
        return await deed(parts, args, progress)
    finally:
        progress.end()
        await database.close()


async def _lift(parts: RepackParts, args: argparse.Namespace, _progress: Progress) -> int:
    lifted = await parts.purger.lift(args.project, args.digest, args.reason)
    if args.json:
        print(json.dumps({"project": args.project, "taken_in_again": [str(one) for one in lifted]}))
    else:
        print(f"{args.digest} is taken in again in project {args.project}")
    return 0


async def _look(parts: RepackParts, args: argparse.Namespace, progress: Progress) -> int:
    reach = await parts.purger.look(args.project, args.digest, told=progress)
    progress.end()
    _tell(reach, args, {})
    return 0


async def _remove(parts: RepackParts, args: argparse.Namespace, progress: Progress) -> int:
    from api import repack_rounds

    reach, done = await parts.purger.purge(args.project, args.digest, args.reason, told=progress)
    left = await repack_rounds.settle(parts, args.project, progress, seconds=args.wait)
    progress.end()
    _tell(reach, args, _members(done) | {"under_way": left})
    return 1 if left else 0


def _members(done: Repacked) -> dict[str, Any]:  # Any: JSON
    return {"packs_made": done.made, "lost_beside_it": done.lost}


def _tell(reach: Reach, args: argparse.Namespace, done: dict[str, Any]) -> None:  # Any: JSON
    told: dict[str, Any] = {  # Any: JSON
        "dry_run": args.dry_run,
        "project": reach.project,
        "digest": str(reach.digest),
        "blob_bytes": reach.size,
        "packs": [str(pack) for pack in reach.packs],
        "trees": [str(tree) for tree in reach.trees],
        "not_reached": reach.elsewhere,
    }
    if args.json:
        print(json.dumps(told | done))
        return
    print(f"{'would purge' if args.dry_run else 'purged'} {reach.digest} in project {reach.project}")
    print(f"  {'no blob' if reach.size is None else f'a blob of {reach.size:,} bytes'}")
    _list("packs that held it", told["packs"])
    _list("trees that are incomplete without it", told["trees"])
    if done.get("lost_beside_it"):
        print(f"  {done['lost_beside_it']:,} other files were damaged where they lay beside it, and are lost")
    if done.get("under_way"):
        print(f"  {done['under_way']:,} removals are under way; the worker completes them")
    _list("NOT REACHED: other projects that have it", reach.elsewhere)
    print("  NOT REACHED: machines that fetched it, backups, copies and older versions that the store keeps")


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"  {title}: {len(lines):,}")
    for line in lines[:_SHOWN]:
        print(f"    {line}")
    if len(lines) > _SHOWN:
        print(f"    … and {len(lines) - _SHOWN:,} more (--json has them)")
