"""`custody audit`: compute the log of a service again, and hold it against what was kept of it."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from custody.evidence.log.auditing import Entry
    from custody.evidence.log.checkpoint import Checkpoint
    from custody.evidence.log.notes import NoteKey
    from custody.log import Grown
    from custody.service import Service
    from custody.settings import Settings

_DESCRIPTION = """\
Audit the log of everything that the service signed: its checkpoint is signed by the key of the
log, it begins with all that you have seen of it before, and its entries lead to what it signed.
So an edit, a removal, a rollback and a fork show. The newest checkpoint is kept for next time.

The key is --log-key or CUSTODY_LOG_KEY, never one that the service says: custody-server env
prints it. With --identity, list what was signed with a key of yours.
"""

_EPILOG = """\
examples:
  custody audit
  custody audit --since checkpoint-of-june
  custody audit --identity builder.pem --json

exit status: 0 as it was signed, 1 not so, 3 nothing was ever logged, 4 no service
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("audit", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--log-key", metavar="KEY", help="name+id+key of the log (default: CUSTODY_LOG_KEY)")
    parser.add_argument("--since", metavar="FILE", help="a checkpoint you kept; read only what came after it")
    parser.add_argument(
        "--identity", metavar="KEY", help="list what was signed with it: a PEM file, SHA256:…, or a builder"
    )
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Audit the log; 1 if it is not what was signed, or not what was kept."""
    import os

    from custody.checkpoints import find_checkpoints
    from custody.commands.access import service, settings
    from custody.errors import ContentError
    from custody.evidence.errors import EvidenceError
    from custody.log import newest

    found = settings(chosen)
    key = _key(chosen, found)
    since = _since(chosen.since, key)
    with service(found) as remote:
        try:
            grown = newest(remote, key, find_checkpoints(os.environ))
            keys = _identities(chosen.identity, remote)
            signed = [one for one in _entries(remote, since, grown.new) if _is_by(one, keys)]
        except EvidenceError as error:
            raise ContentError(f"the log is not what was signed: {error}") from error
    _tell(chosen, grown, since, signed)
    return exits.OK


def _key(chosen: argparse.Namespace, found: Settings) -> NoteKey:
    from custody.errors import MisuseError
    from custody.evidence.errors import EvidenceError
    from custody.evidence.log.notes import NoteKey

    text = chosen.log_key or found.log_key
    if text is None:
        hint = "set CUSTODY_LOG_KEY; custody-server env prints it"
        raise MisuseError("no key of the log is pinned", hint=hint)
    try:
        return NoteKey.parse(text)
    except EvidenceError as error:
        raise MisuseError(f"the key of the log: {error}") from error


def _since(path: str | None, key: NoteKey) -> Checkpoint | None:
    from pathlib import Path

    from custody.errors import ContentError
    from custody.evidence.errors import EvidenceError
    from custody.evidence.log.checkpoint import Checkpoint

    if path is None:
        return None
    try:
        return Checkpoint.verified(Path(path).read_bytes(), key)
    except EvidenceError as error:
        raise ContentError(f"{path}: {error}") from error


def _identities(given: str | None, remote: Service) -> frozenset[str]:
    """The fingerprints of the keys in question; whose a builder's are, the service is asked."""
    from pathlib import Path

    from custody.evidence.keys import PublicKey
    from custody.wire import text

    if given is None:
        return frozenset()
    if given.startswith("SHA256:"):
        return frozenset({given})
    if "://" in given:
        return frozenset(
            text(one, "keyid") for one in remote.public_keys() if text(one, "builder_id") == given
        )
    return frozenset({PublicKey.from_pem(Path(given).read_bytes()).keyid})


def _entries(remote: Service, since: Checkpoint | None, new: Checkpoint) -> Iterator[Entry]:
    from custody.evidence.log.auditing import LogView
    from custody.log import ServiceTiles

    for entries in LogView(ServiceTiles(remote)).compute(since, new):
        yield from entries


def _is_by(entry: Entry, keys: frozenset[str]) -> bool:
    """Whether one of `keys` signed it; the signature in the entry itself says so."""
    from custody.evidence.log.leaf import Leaf

    if not keys:
        return False
    leaf = Leaf.parse(entry.content)
    if leaf.keyid not in keys:
        return False
    leaf.check()
    return True


def _tell(chosen: argparse.Namespace, grown: Grown, since: Checkpoint | None, signed: list[Entry]) -> None:
    from custody.evidence.log.leaf import Leaf
    from custody.terminal import say

    rows = [(one.number, Leaf.parse(one.content).digest.hex()) for one in signed]
    first = 0 if since is None else since.size
    if chosen.json:
        import json

        members: dict[str, object] = {
            "origin": grown.new.origin,
            "size": grown.new.size,
            "root": grown.new.root.hex(),
            "computed": grown.new.size - first,
            "kept": None if grown.old is None else grown.old.size,
            "checkpoint": grown.note.decode(),
        }
        if chosen.identity is not None:
            members["signed"] = [{"index": number, "pae_sha256": digest} for number, digest in rows]
        say(json.dumps(members, sort_keys=True))
        return
    say(f"{grown.new.origin}: {grown.new.size:,} leaves, root {grown.new.root.hex()}")
    say(f"computed {grown.new.size - first:,} leaves again")
    if grown.old is None:
        say("nothing was kept of this log before: what came earlier is taken as it is now")
    else:
        say(f"it begins with all {grown.old.size:,} leaves that were seen before")
    for number, digest in rows:
        say(f"leaf {number:,}  signed sha256:{digest}")
    if chosen.identity is not None:
        say(f"{len(rows):,} signatures by {chosen.identity}")
    say("everything is as it was signed")
