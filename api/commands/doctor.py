"""`custody-server doctor`: tries the object store out before it is trusted."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from api.commands.options import add_folder, settings_of

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.storage.checkup import Finding

_SIGNS: Final = {"good": "✓", "note": "!", "bad": "✗"}
_DESCRIPTION: Final = """\
Try out the object store that the settings name, and say what was found: round trips,
ranges, lists, large objects; for a bucket also clocks, access without a signature,
conditions, checksums, URLs, encryption and object lock. Everything is written below staging/ and
joined/, and removed again.

An index in PostgreSQL is looked at too: its schema, whether commits are durable, and with
--process whether the login of the settings may write what that process writes and no more.

✓ as it must be   ! worth knowing, nothing rests on it   ✗ do not use this store, or index

The status is 0, 1 for a store or an index that must not be used, 4 where there is none to be
tried: no such bucket, no access to it, no answer.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "doctor",
        help="try out the object store before it is trusted",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    command.add_argument(
        "--process",
        choices=("api", "signer", "worker"),
        help="compare what the login to PostgreSQL may write with what this process writes",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; 1 if the store must not be used, 4 if there is none to be tried."""
    settings = settings_of(args)
    found = asyncio.run(_examine(settings, quiet=args.json))
    bad = _is_bad(found)
    index = _examined_index(settings, args.process, quiet=args.json)
    if args.json:
        told = {"store": settings.store, "good": not bad, "findings": [asdict(one) for one in found]}
        if index:
            told |= {"index_good": not _is_bad(index), "index": [asdict(one) for one in index]}
        print(json.dumps(told))
    else:
        print("do not use this store" if bad else "the store can be used")
        if index:
            print("do not use this index" if _is_bad(index) else "the index can be used")
    if _is_bad(index):
        return 1
    # Where the first check is the last, the bucket was not reached.
    return (4 if len(found) == 1 else 1) if bad else 0


def _is_bad(found: list[Finding]) -> bool:
    return any(finding.verdict == "bad" for finding in found)


def _examined_index(settings: Settings, process: str | None, *, quiet: bool) -> list[Finding]:
    from api import index_checkup

    found = asyncio.run(index_checkup.examine(settings, process))
    if found and not quiet:
        print(f"index  {index_checkup.shown(settings)}")
        for finding in found:
            _print(finding)
    return found


def _print(finding: Finding) -> None:
    print(f"  {_SIGNS[finding.verdict]} {finding.check:<22} {finding.said}", flush=True)


async def _examine(settings: Settings, *, quiet: bool) -> list[Finding]:
    from api import wiring
    from artifacts.clock import SystemClock
    from artifacts.storage import checkup

    store = wiring.open_store(settings)
    on = checkup.trial(store, at=SystemClock().now())
    if not quiet:
        print(f"store  {settings.store}")
    found = []
    checks = checkup.every_store(on)
    if settings.store.startswith("s3:"):
        from artifacts.storage.s3_checkup import BucketCheckup
        from artifacts.storage.s3_store import S3Store

        if isinstance(store, S3Store):
            checks = [*BucketCheckup(on, store).checks(), *checks]
    async for finding in checkup.run(checks):
        found.append(finding)
        if not quiet:
            _print(finding)
        if (finding.check, finding.verdict) == (checkup.REACHED, "bad"):
            return found
    await checkup.clean(on)
    return found
