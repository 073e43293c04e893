"""`custody-server collect`: remove what nobody needs, or say what would be removed."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from api.commands.options import add_folder, settings_of
from api.commands.progress import Progress

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.db import Database
    from artifacts.judging import Collected, Going
    from artifacts.storage.protocol import ObjectStore

_NO_PROJECT: Final = 3
_DESCRIPTION: Final = """\
Remove the bytes that nobody named and no tree is made of, and those that the rules of
CUSTODY_RETENTION_FILE let go, once their grace period (CUSTODY_GRACE_HOURS) is over. What is
recorded and signed about them stays. Works beside a running service, whose worker does the same
every CUSTODY_COLLECT_SECONDS.

With an object store that is no folder the last DELETE is waited for: what is still under way when
the command ends is completed by the worker.
"""
_EPILOG: Final = "exit status: 0 done; 3 no such project; 5 the index is older than the bucket: reindex first"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "collect",
        help="remove what nobody needs, and what retention rules let go",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    command.add_argument("--project", metavar="NAME", help="of this project alone")
    command.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Collect; 3 if there is no such project, 5 if the index must be mended first."""
    from artifacts.errors import EvidenceError, NotFoundError

    settings = settings_of(args)
    try:
        found, left = asyncio.run(_collect(settings, args))
    except NotFoundError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return _NO_PROJECT
    except EvidenceError as error:
        print(f"custody-server: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 5
    if args.json:
        print(json.dumps(_members(found, left=left, dry=args.dry_run)))
    else:
        _show(found, left=left, dry=args.dry_run)
    return 0


async def _collect(settings: Settings, args: argparse.Namespace) -> tuple[Collected, int]:
    """What goes, and how many removals are still under way."""
    from api import collect_rounds, wiring
    from artifacts.clock import SystemClock
    from artifacts.errors import NotFoundError
    from artifacts.queries import collecting

    database, store = wiring.open_database(settings), wiring.open_store(settings)
    progress = Progress(quiet=args.json)
    try:
        async with database.reading() as connection:
            if args.project is not None and args.project not in await collecting.projects(connection):
                raise NotFoundError(f"there is no project {args.project}")
        seal = wiring.open_seal(settings)
        collector = collect_rounds.collector_of(settings, database, store, SystemClock(), seal)
        found = await collector.collect(only=args.project, dry_run=args.dry_run)
        return found, 0 if args.dry_run else await _remove(settings, database, store, progress)
    finally:
        progress.end()
        await database.close()


async def _remove(settings: Settings, database: Database, store: ObjectStore, progress: Progress) -> int:
    """Do what can be done at once of what was decided; how much is left."""
    from api import collect_rounds
    from api.running import log_failed_job, owner_name
    from artifacts.clock import SystemClock
    from artifacts.labour import Labourer
    from artifacts.queries import queue
    from artifacts.removal import REMOVE

    clock = SystemClock()
    removals = collect_rounds.removals_of(settings, database, store, clock)
    labourer = Labourer(database, clock, REMOVE, owner_name(), removals.remove, log_failed_job)
    done = 0
    while count := await labourer.round():
        done += count
        progress("removed", done)
    async with database.reading() as connection:
        return (await queue.depth(connection)).get(REMOVE, 0)


def _members(found: Collected, *, left: int, dry: bool) -> dict[str, Any]:  # Any: JSON
    return {
        "dry_run": dry,
        "decided": [
            {"project": project, "kind": kind, "reason": reason, "count": count, "bytes": size}
            for (project, kind, reason), count, size in _groups(found)
        ],
        "largest": [_member(one) for one in found.largest],
        "over_budget": found.over_budget,
        "under_way": left,
    }


def _groups(found: Collected) -> list[tuple[tuple[str, str, str], int, int]]:
    return [(key, count, found.bytes[key]) for key, count in sorted(found.things.items())]


def _member(one: Going) -> dict[str, Any]:  # Any: JSON
    thing = one.thing
    return {
        "project": thing.project,
        "kind": thing.kind,
        "digest": str(thing.digest),
        "bytes": one.size,
        "reason": one.reason,
        "detail": one.detail,
    }


def _show(found: Collected, *, left: int, dry: bool) -> None:
    if not found.things:
        print("nothing may go")
    for (project, kind, reason), count, size in _groups(found):
        print(f"{project}: {count:,} {kind}s, {size:,} bytes ({reason})")
    if found.largest:
        print("the largest:")
    for one in found.largest:
        why = one.reason if one.detail is None else one.detail
        print(f"  {one.size:>15,}  {one.thing.kind} {one.thing.digest}  {one.thing.project}  ({why})")
    for project, excess in sorted(found.over_budget.items()):
        print(f"{project} is {excess:,} bytes over its budget, and no rule lets more go")
    if dry:
        print("nothing was changed")
    elif left:
        print(f"{left:,} removals are under way; the worker completes them")
