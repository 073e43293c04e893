"""`custody-server tokens`: issue, list and revoke the tokens of projects."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from api.commands.options import add_folder, settings_of

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.queries.tokens import IssuedRow
    from artifacts.tokens import Tokens

T = TypeVar("T")
_NOTHING_FOUND: Final = 3
_MAX_LABEL: Final = 100
_DESCRIPTION: Final = """\
Issue, list and revoke the tokens of projects. Each is written to the journal in the object
store before the index, so it is still issued, or revoked, when the index is filled again.

Needs a login to the index that may write tokens: with PostgreSQL that is its owner, no role of
a process. Works beside a running service.
"""
_REVOKE: Final = """\
Every api refuses the token from its next request on (401), and the tokens of the steps that it
began. What was recorded with it stays.
"""
_EPILOG: Final = "exit status: 0 done, also where it was revoked before; 3 there is no such token"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    plain = argparse.RawDescriptionHelpFormatter
    summary = "issue, list and revoke the tokens of projects"
    command = commands.add_parser("tokens", help=summary, description=_DESCRIPTION, formatter_class=plain)
    below = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    new = below.add_parser("new", help="issue a token; its secret is printed once and kept nowhere")
    new.add_argument("--project", type=_project, default="default", help="whose it is (default: default)")
    new.add_argument("--label", type=_label, default="", help="what it is for; list shows it")
    new.set_defaults(run=_new)
    shown = below.add_parser("list", help="show the tokens, without their secrets")
    shown.add_argument("--project", help="of this project only")
    shown.set_defaults(run=_list)
    revoke = below.add_parser(
        "revoke",
        help="refuse a token from now on",
        description=_REVOKE,
        epilog=_EPILOG,
        formatter_class=plain,
    )
    revoke.add_argument("id", metavar="ID", help="the id that list shows, not the secret")
    revoke.set_defaults(run=_revoke)
    for one in (new, shown, revoke):
        add_folder(one)
        one.add_argument("--json", action="store_true", help="print one JSON object instead")


def _project(text: str) -> str:
    from artifacts.errors import InvalidInputError
    from artifacts.steps import checked_project

    try:
        return checked_project(text)
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(f"{error.message}: {error.hint}") from error


def _label(text: str) -> str:
    if not text.isprintable() or len(text) > _MAX_LABEL:
        raise argparse.ArgumentTypeError(f"a label has at most {_MAX_LABEL} printable characters")
    return text


def _new(args: argparse.Namespace) -> int:
    from artifacts.identifiers import new_ulid
    from artifacts.queries.tokens import TokenRow, hashed

    secret = f"cpt_{secrets.token_urlsafe(32)}"

    async def issue(tokens: Tokens) -> TokenRow:
        row = TokenRow(new_ulid(tokens.clock.now()), args.project, args.label)
        await tokens.issue(row, digest=hashed(secret))
        return row

    row = _with_tokens(settings_of(args), issue)
    if args.json:
        told = {"id": row.id, "project": row.project, "label": row.label, "token": secret}
        print(json.dumps(told))
    else:
        print(f"token {row.id} of project {row.project}; its secret is shown this once", file=sys.stderr)
        print(secret)
    return 0


def _list(args: argparse.Namespace) -> int:
    from artifacts.queries import tokens as queries

    async def issued(tokens: Tokens) -> list[IssuedRow]:
        async with tokens.database.reading() as connection:
            return await queries.issued(connection, args.project)

    rows = _with_tokens(settings_of(args), issued)
    if args.json:
        print(json.dumps({"tokens": [_members(row) for row in rows]}))
        return 0
    for row in rows:
        members = _members(row)
        until = f"revoked {members['revoked_at']}" if row.revoked_at is not None else "valid"
        print(f"{row.id}  {row.project}  {members['created_at']}  {until}  {row.label}".rstrip())
    return 0


def _members(row: IssuedRow) -> dict[str, str | None]:
    from artifacts.clock import from_milliseconds, written

    revoked = row.revoked_at
    return {
        "id": row.id,
        "project": row.project,
        "label": row.label,
        "created_at": written(from_milliseconds(row.created_at)),
        "revoked_at": None if revoked is None else written(from_milliseconds(revoked)),
    }


def _revoke(args: argparse.Namespace) -> int:
    from artifacts.queries import tokens as queries

    async def revoke(tokens: Tokens) -> IssuedRow | None:
        async with tokens.database.reading() as connection:
            found = await queries.find_issued(connection, args.id)
        if found is not None and found.revoked_at is None:
            await tokens.revoke(found.project, found.id)
        return found

    found = _with_tokens(settings_of(args), revoke)
    if found is None:
        print(f"custody-server: there is no token {args.id[:80]!a}", file=sys.stderr)
        print("hint: custody-server tokens list shows the ids", file=sys.stderr)
        return _NOTHING_FOUND
    again = found.revoked_at is not None
    if args.json:
        print(json.dumps({"id": found.id, "project": found.project, "revoked": True, "before": again}))
    else:
        print(f"token {found.id} of project {found.project} {'was' if again else 'is'} revoked")
    return 0


def _with_tokens(settings: Settings, work: Callable[[Tokens], Awaitable[T]]) -> T:
    """Do `work` over the index and the store of the settings."""
    from api import wiring
    from artifacts.clock import SystemClock
    from artifacts.errors import InvalidInputError
    from artifacts.seal import Seal
    from artifacts.tokens import Tokens

    try:
        # Never made here: under another seal than that of api and worker a rebuilt index believes nothing.
        seal = Seal.open(settings.seal_key)
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"there is no seal key at {settings.seal_key}",
            hint="start the api once, or name the key that api and worker share in CUSTODY_SEAL_KEY_FILE",
        ) from error

    async def all_of_it() -> T:
        database = wiring.open_database(settings)
        try:
            return await work(Tokens(database, wiring.open_store(settings), SystemClock(), seal))
        finally:
            await database.close()

    return asyncio.run(all_of_it())
