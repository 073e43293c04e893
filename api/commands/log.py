"""`custody-server log`: audit the log, and show its newest checkpoint."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.commands.options import add_folder, settings_of
from api.commands.progress import Progress

if TYPE_CHECKING:
    from api.settings import Settings
    from provenance.log.auditing import Audit
    from provenance.log.checkpoint import Checkpoint
    from provenance.log.notes import NoteKey

_SHOWN: Final = 50
_DESCRIPTION: Final = """\
The log of everything that was signed: an append-only Merkle tree, in tiles and checkpoints in
the object store (C2SP tlog-tiles).
"""
_AUDIT: Final = """\
Compute the log again from its entries, and compare it with its tiles, with the index and with
the signed checkpoint. Any edit, removal or fork is found, and named. Works beside a running
service, and changes nothing.

The key is that of the data folder, or of --key; --since names checkpoints that somebody kept,
which the log must begin with. Only they show that whoever has the key did not sign another log.
"""
_CHECKPOINT: Final = """\
Print the newest checkpoint, for a witness or an archive, once its signature was checked.
"""
_EPILOG: Final = "exit status: 0 as it was signed, 1 not so, 3 nothing was ever logged"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    plain = argparse.RawDescriptionHelpFormatter
    command = commands.add_parser(
        "log", help="audit the log of what was signed", description=_DESCRIPTION, formatter_class=plain
    )
    below = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    audit = below.add_parser(
        "audit",
        help="compute the log again and compare it with all that is kept",
        description=_AUDIT,
        epilog=_EPILOG,
        formatter_class=plain,
    )
    audit.add_argument(
        "--since", type=Path, metavar="FILE", action="append", default=[], help="a checkpoint that was kept"
    )
    audit.add_argument("--signatures", action="store_true", help="check the signature in every leaf too")
    audit.add_argument("--no-index", action="store_true", help="look at the object store alone")
    audit.add_argument("--json", action="store_true", help="print one JSON object instead")
    audit.set_defaults(run=_audit)
    shown = below.add_parser(
        "checkpoint",
        help="print the newest checkpoint",
        description=_CHECKPOINT,
        epilog=_EPILOG,
        formatter_class=plain,
    )
    shown.set_defaults(run=_checkpoint)
    for one in (audit, shown):
        one.add_argument("--key", metavar="KEY", help="public key of the log, as one word: name+id+key")
        add_folder(one)


def _key(settings: Settings, given: str | None) -> NoteKey:
    """The key that counts: what was given, else the one in the data folder. Never what the bucket says.

    Raises:
        InvalidInputError: there is none.
    """
    from artifacts.errors import InvalidInputError
    from provenance.log.notes import NoteKey
    from provenance.signers import log_key

    if given is not None:
        return NoteKey.parse(given)
    try:
        return log_key.open_key(settings.log_key_file, origin=settings.origin).key
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"there is no key of the log at {settings.log_key_file}", hint="name the public key with --key"
        ) from error


def _audit(args: argparse.Namespace) -> int:
    from artifacts.errors import EvidenceError

    settings = settings_of(args)
    began = time.monotonic()
    try:
        audit = asyncio.run(_audited(settings, args))
    except EvidenceError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(_members(audit)))
    else:
        _show(audit, seconds=time.monotonic() - began)
    if audit.clean and audit.checkpoint is None:
        return 3
    return 0 if audit.clean else 1


async def _audited(settings: Settings, args: argparse.Namespace) -> Audit:
    from api import wiring
    from provenance.log.auditing import Auditor
    from provenance.log.objects import LogObjects
    from provenance.log.rows import IndexRows

    key = _key(settings, args.key)
    kept = [_kept(path, key) for path in args.since]
    database, progress = wiring.open_database(settings), Progress(quiet=args.json)
    auditor = Auditor(
        LogObjects(wiring.open_store(settings)),
        key,
        None if args.no_index else IndexRows(database),
        kept,
        signatures=args.signatures,
        reached=lambda leaves: progress("leaves", leaves),
    )
    try:
        return await auditor.run()
    finally:
        progress.end()
        await database.close()


def _kept(path: Path, key: NoteKey) -> Checkpoint:
    from artifacts.errors import InvalidInputError
    from provenance.log.checkpoint import Checkpoint

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    return Checkpoint.verified(raw, key)


def _checkpoint(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    return asyncio.run(_print_checkpoint(settings, args.key))


async def _print_checkpoint(settings: Settings, given: str | None) -> int:
    from api import wiring
    from artifacts.errors import EvidenceError
    from provenance.log.checkpoint import Checkpoint
    from provenance.log.objects import LogObjects

    note = await LogObjects(wiring.open_store(settings)).note()
    if note is None:
        print("custody-server: nothing was logged yet", file=sys.stderr)
        return 3
    try:
        Checkpoint.verified(note, _key(settings, given))
    except EvidenceError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        return 1
    print(note.decode(), end="")
    return 0


def _members(audit: Audit) -> dict[str, object]:
    found = audit.checkpoint
    return {
        "clean": audit.clean,
        "origin": None if found is None else found.origin,
        "size": None if found is None else found.size,
        "root": None if found is None else found.root.hex(),
        "leaves": audit.leaves,
        "found": audit.found,
        "findings": [asdict(one) for one in audit.findings],
    }


def _show(audit: Audit, *, seconds: float) -> None:
    if audit.checkpoint is not None:
        print(
            f"{audit.checkpoint.origin}: {audit.checkpoint.size:,} leaves, root {audit.checkpoint.root.hex()}"
        )
    print(f"computed {audit.leaves:,} leaves again in {seconds:.1f} s")
    for finding in audit.findings[:_SHOWN]:
        print(f"{finding.place}: {finding.reason}")
    if audit.found > _SHOWN:
        print(f"… and {audit.found - _SHOWN:,} more (--json has a thousand)")
    print(
        "everything is as it was signed"
        if audit.clean
        else f"{audit.found:,} things are not as they were signed"
    )
