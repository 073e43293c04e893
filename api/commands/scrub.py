"""`custody-server scrub`: hash again what is stored, and mend what can be mended."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from api.commands.options import add_folder, settings_of
from api.commands.progress import Progress

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.db import Database
    from artifacts.scrubbing.report import Damage, Report

_SHOWN: Final = 20
_AGE: Final = re.compile(r"([1-9]\d{0,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DESCRIPTION: Final = """\
Read everything in the object store again: bytes are hashed, what is written is read strictly,
and what the index says is there is missed where it is not. Each damaged or missing object is
named with the trees, steps and attestations that rely on it. Works beside a running service.

Nothing is changed without --repair. With it, what is damaged is healed from the second store
(CUSTODY_SECOND_STORE_URL) where the copy there is right, or made anew from other objects where
that can be done; of bytes that stay damaged a worker tells, so that nobody relies on them until
they are sent again.
"""
_EPILOG: Final = "exit status: 0 nothing damaged remains; 1 something does; 3 no such project; 4 index or store do not answer"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "scrub",
        help="hash again what is stored, and mend what can be mended",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    command.add_argument("--project", help="what this project stores, and the bundles about it")
    command.add_argument(
        "--rate",
        type=_rate,
        metavar="BYTES",
        help="read so many bytes a second; without it as fast as it goes",
    )
    command.add_argument(
        "--since",
        type=_since,
        metavar="AGE",
        help="hash only what was written in the last 30m, 24h, 7d …; what is missing is found all the same",
    )
    command.add_argument("--repair", action="store_true", help="mend what can be mended")
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def _rate(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("a number of bytes, at least 1")
    return int(text)


def _since(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("write it as 30m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def run(args: argparse.Namespace) -> int:
    """Scrub; 1 if something damaged remains, 3 if there is no such project."""
    from artifacts.errors import NotFoundError

    settings = settings_of(args)
    began = time.monotonic()
    try:
        report = asyncio.run(_scrub(settings, args))
    except NotFoundError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return 3
    if args.json:
        print(json.dumps(report.members))
    else:
        _show(report, seconds=time.monotonic() - began, repaired=args.repair)
    return 0 if report.clean else 1


async def _scrub(settings: Settings, args: argparse.Namespace) -> Report:
    from api import wiring

    database = wiring.open_database(settings)
    progress = Progress(quiet=args.json)
    try:
        return await _looked(settings, args, database, progress)
    finally:
        progress.end()
        await database.close()


async def _looked(
    settings: Settings, args: argparse.Namespace, database: Database, progress: Progress
) -> Report:
    from api import second_store, wiring
    from artifacts.clock import SystemClock
    from artifacts.scrubbing.pacing import Pace
    from artifacts.scrubbing.scrubber import Scope, Scrubber, Stores
    from provenance.scrubbing import control_check

    stores = Stores(wiring.open_store(settings), second_store.open_second_store(settings))
    scrubber = Scrubber(
        database,
        stores,
        SystemClock(),
        await control_check(*stores.all),
        Pace(args.rate),
        repair=args.repair,
        reached=lambda _key, report: progress("objects", sum(report.counts.values())),
    )
    since = None if args.since is None else datetime.now(UTC) - args.since
    return await scrubber.run(Scope(args.project, since))


def _show(report: Report, *, seconds: float, repaired: bool) -> None:
    total = sum(report.counts.values())
    print(f"looked at {total:,} objects, hashed {report.bytes:,} bytes in {seconds:.1f} s")
    for kind, count in sorted(report.counts.items()):
        print(f"  {count:>9,}  {kind}")
    for damage in report.damages[:_SHOWN]:
        _show_damage(damage)
    if report.damaged > _SHOWN:
        print(f"… and {report.damaged - _SHOWN:,} more (--json has them)")
    if report.strange:
        print(f"{report.strange:,} objects have names that nobody here gives: {report.strangers[0]} …")
    left = report.damaged - report.healed
    print(f"{report.damaged:,} damaged, {report.healed:,} healed" if report.damaged else "nothing is damaged")
    if left and not repaired:
        print("nothing was changed; --repair mends what can be mended")


def _show_damage(damage: Damage) -> None:
    state = "damaged" if damage.healed is None else f"healed, {damage.healed}"
    print(f"{damage.kind} {damage.key}: {damage.reason} ({state})")
    if damage.why_not is not None:
        print(f"  not healed: {damage.why_not}")
    relying = damage.dependents
    for name, some in (
        ("trees", relying.trees),
        ("steps", relying.steps),
        ("attestations", relying.attestations),
    ):
        if some:
            print(f"  {name}: {', '.join(some)}")
    if relying.more:
        print("  … and more of these")
