"""`custody-server reindex`: fill the index again from what lies in the bucket."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from api.commands.options import add_folder, settings_of
from api.commands.progress import Progress

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.storage.protocol import ObjectStore
    from provenance.keys import PublicKey
    from provenance.log.notes import NoteKey
    from provenance.reindex.report import Report

_SHOWN: Final = 20
_DESCRIPTION: Final = """\
Fill the index from the object store alone: an empty one, or one from an older copy. Stop the
api, the signer and the worker first.

What counts is what a trusted key signed, and what the seal of this service is on. Trusted are
the key in the data folder and those given with --trust-key; a key that only the bucket offers
is not. Everything else is left out and listed. May be killed and run again at any time.
"""
_EPILOG: Final = """\
exit status: 0 done; 1 done, and something in the bucket is not as it was written; 2 a key that is
named cannot be read; 4 nothing was done, because the folder is being served or the index or the
store does not answer
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "reindex",
        help="fill the index again from the object store",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    command.add_argument("--public-url", metavar="URL", help="the service's address in statements")
    command.add_argument(
        "--trust-key",
        type=_public_key,
        action="append",
        default=[],
        metavar="PEM",
        help="a public key whose statements count, beside the one in the data folder; may be repeated",
    )
    command.add_argument(
        "--accept-unsealed",
        action="store_true",
        help="believe tokens, names and unsigned records without a seal: whoever could write to the bucket "
        "could have made them",
    )
    command.add_argument("--resume", action="store_true", help="do not read again what the index has already")
    command.add_argument(
        "--dry-run", action="store_true", help="fill a throw-away index, change nothing, say what was found"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reindex; 1 if something had to be left out, 4 if nothing could be done."""
    from api.holding import held

    settings = settings_of(args)
    try:
        with held(settings):
            began = time.monotonic()
            report = asyncio.run(_reindex(settings, args))
    except OSError as error:
        print(f"custody-server: {error}", file=sys.stderr)
        return 4
    if args.json:
        print(json.dumps(_members(report)))
    else:
        _show(report, seconds=time.monotonic() - began, dry=args.dry_run)
    return 0 if report.clean else 1


async def _reindex(settings: Settings, args: argparse.Namespace) -> Report:
    from api import wiring
    from artifacts.storage.unchanging import UnchangingStore

    store = wiring.open_store(settings)
    keys = _keys(settings, args.trust_key)
    if not args.dry_run:
        return await _fill(settings, store, keys, args)
    with tempfile.TemporaryDirectory(prefix="custody-reindex-") as folder:
        index = f"sqlite+aiosqlite:///{folder}/custody.db"
        elsewhere = settings.model_copy(update={"database_url": index})
        return await _fill(elsewhere, UnchangingStore(store), keys, args)


async def _fill(
    settings: Settings, store: ObjectStore, keys: frozenset[PublicKey], args: argparse.Namespace
) -> Report:
    from api import wiring
    from api.preparing import migrate
    from artifacts.clock import SystemClock
    from provenance.attest import BUILDER
    from provenance.reindex.reindexer import Believing, Reindexer

    await migrate(settings)
    lost = settings.seal_key_file is None and not settings.seal_key.exists()
    seal = None if lost else wiring.open_seal(settings)
    believing = Believing(
        keys, settings.url + BUILDER, seal, unsealed=args.accept_unsealed, log_key=_log_key(settings)
    )
    database = wiring.open_database(settings)
    progress = Progress(quiet=args.json)
    try:
        return await Reindexer(
            database, store, SystemClock(), believing, told=progress, resume=args.resume
        ).run()
    finally:
        progress.end()
        await database.close()


def _public_key(path: str) -> PublicKey:
    from artifacts.errors import InvalidInputError
    from provenance.keys import PublicKey

    try:
        return PublicKey.from_pem(Path(path).read_bytes())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from error
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.message}") from error


def _keys(settings: Settings, given: list[PublicKey]) -> frozenset[PublicKey]:
    """The keys that count: the signer's own, and those the operator names."""
    from artifacts.errors import InvalidInputError
    from provenance.signers.local import LocalSigner

    keys = set(given)
    if settings.key_file.exists():
        keys.add(LocalSigner.open(settings.key_file).public_key)
    if not keys:
        raise InvalidInputError(
            f"there is no key in {settings.key_file.parent}, so nothing in the bucket can be believed",
            hint="restore the folder of keys, or name the public key with --trust-key",
        )
    return frozenset(keys)


def _log_key(settings: Settings) -> NoteKey | None:
    from provenance.signers import log_key

    try:
        return log_key.open_key(settings.log_key_file, origin=settings.origin).key
    except FileNotFoundError:
        return None


def _members(report: Report) -> dict[str, Any]:  # Any: JSON
    return {
        "clean": report.clean,
        "counts": dict(sorted(report.counts.items())),
        "quarantined": [asdict(one) for one in sorted(report.quarantined)],
        "records_without_statement": report.unsigned,
        "records_held": report.held,
        "statements_without_record": report.without_record,
        "blobs_without_receipt": report.unreceipted,
    }


def _show(report: Report, *, seconds: float, dry: bool) -> None:
    print(f"{'would have filed' if dry else 'filed'} in {seconds:.1f} s")
    for name, count in sorted(report.counts.items()):
        print(f"  {count:>9,}  {name}")
    _list("left out", [f"{one.key}: {one.reason}" for one in sorted(report.quarantined)])
    _list("not signed yet, on the signer's queue", report.unsigned)
    _list("held: a statement by an unknown key is about them", report.held)
    _list("statements whose record is nowhere", report.without_record)
    _list("blobs that nobody vouches for, served to nobody", report.unreceipted)


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"{title}:")
        for line in lines[:_SHOWN]:
            print(f"  {line}")
        if len(lines) > _SHOWN:
            print(f"  … and {len(lines) - _SHOWN:,} more (--json has them)")
