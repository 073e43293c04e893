"""`custody-server compact`: pack anew what frays, or say what would be."""

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
    from artifacts.trees.fraying import FrayedPack
    from artifacts.trees.repacking import Repacked

_NO_PROJECT: Final = 3
_OLDER: Final = 5
_SHOWN: Final = 20
_DESCRIPTION: Final = """\
Pack anew what is still used of packs of which present trees use less than half: what is used goes
into new packs, each tree is laid out anew, and the old packs are removed once the grace period
(CUSTODY_GRACE_HOURS) is over. Packs that came or were asked for within it stay as they are. Every
tree stays readable meanwhile. Works beside a running service, whose worker does the same after
trees were removed.
"""
_EPILOG: Final = (
    "exit status: 0 done; 1 done, and something is damaged and was left alone; 3 no such project; "
    "5 the index is older than the bucket: reindex first"
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "compact",
        help="pack anew what is left of packs that few trees use",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    command.add_argument("--project", metavar="NAME", help="of this project alone")
    command.add_argument(
        "--dry-run", action="store_true", help="say what would be packed anew, and change nothing"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compact; 1 if something was damaged, 3 if there is no such project."""
    from artifacts.errors import EvidenceError, NotFoundError

    settings = settings_of(args)
    try:
        told = asyncio.run(_compact(settings, args))
    except NotFoundError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return _NO_PROJECT
    except EvidenceError as error:
        print(f"custody-server: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return _OLDER
    if args.json:
        print(json.dumps({"dry_run": args.dry_run, "projects": told}))
    else:
        _show(told, dry=args.dry_run)
    return 1 if any(one.get("damaged") for one in told.values()) else 0


async def _compact(settings: Settings, args: argparse.Namespace) -> dict[str, dict[str, Any]]:  # Any: JSON
    from api import repack_rounds, wiring
    from artifacts.clock import SystemClock
    from artifacts.errors import NotFoundError
    from artifacts.queries import repacking

    database, store = wiring.open_database(settings), wiring.open_store(settings)
    progress = Progress(quiet=args.json)
    try:
        async with database.reading() as connection:
            names = await repacking.project_names(connection)
        if args.project is not None and args.project not in names:
            raise NotFoundError(f"there is no project {args.project}")
        seal = wiring.open_seal(settings)
        parts = repack_rounds.parts_of(settings, database, store, SystemClock(), seal)
        await parts.check()
        look = _look if args.dry_run else _pack
        chosen = names if args.project is None else [args.project]
        return {name: await look(parts, name, progress) for name in chosen}
    finally:
        progress.end()
        await database.close()


async def _look(parts: RepackParts, project: str, progress: Progress) -> dict[str, Any]:  # Any: JSON
    progress(f"looking at {project}", 0)
    frayed = await parts.repacker.frayed(project)
    return {
        "packs": len(frayed),
        "bytes_before": sum(pack.size for pack in frayed),
        "bytes_used": sum(pack.used for pack in frayed),
        "frayed": [_member(pack) for pack in frayed],
    }


def _member(pack: FrayedPack) -> dict[str, Any]:  # Any: JSON
    return {"digest": str(pack.digest), "size": pack.size, "used": pack.used}


async def _pack(parts: RepackParts, project: str, progress: Progress) -> dict[str, Any]:  # Any: JSON
    from api import repack_rounds
    from artifacts.outages import repeated

    progress(f"packing {project}", 0)
    done: Repacked = await repeated(parts.repacker.compact)(project)
    left = await repack_rounds.settle(parts, project, progress, seconds=600) if done.packs else 0
    return {
        "packs": done.packs,
        "made": done.made,
        "bytes_before": done.before,
        "bytes_after": done.after,
        "damaged": [str(pack) for pack in done.damaged],
        "under_way": left,
    }


def _show(told: dict[str, dict[str, Any]], *, dry: bool) -> None:  # Any: JSON
    for project, one in told.items():
        if not one["packs"]:
            print(f"{project}: nothing frays")
        elif dry:
            print(f"{project}: {one['packs']:,} packs, {one['bytes_before']:,} bytes, ", end="")
            print(f"of which about {one['bytes_used']:,} are used")
        else:
            print(f"{project}: {one['packs']:,} packs, {one['bytes_before']:,} bytes, ", end="")
            print(f"became {one['made']:,} packs, {one['bytes_after']:,} bytes")
        for pack in one.get("frayed", [])[:_SHOWN]:
            print(f"  {pack['size']:>15,}  {pack['digest']}  about {pack['used']:,} used")
        for pack in one.get("damaged", []):
            print(f"  damaged, or used by a tree whose manifest is: {pack}")
    if dry:
        print("nothing was changed")
    elif any(one["packs"] for one in told.values()):
        print("the old packs go when the grace period is over")
