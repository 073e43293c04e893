"""`custody flush`: deliver what was recorded while the service was away."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from custody.spool.flushing import Fate
    from custody.spool.location import Spool
    from custody.wire import Document

_DESCRIPTION = """\
Deliver the steps that `custody run` and `custody.step` kept on this machine because the
service was away: in the order in which they began, each once. It may be interrupted
and repeated. The service's times will be those of the delivery; those of the step
travel with it as claims.

The project's token is needed. What the service refuses for good is put aside, with the
reason, in the folder `refused` of the spool.
"""

_EPILOG = """\
examples:
  custody flush
  custody flush --dry-run        list what waits, send nothing

The spool is $CUSTODY_SPOOL, else custody/spool in $XDG_STATE_HOME or ~/.local/state.

exit status: 0 everything is delivered, 4 the service is away, 1 something was refused,
             or waits for another service than the one that is configured
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("flush", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--dry-run", action="store_true", help="list what waits; send nothing")
    parser.add_argument("--keep-going", action="store_true", help="go on after a step that is refused")
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Empty the spool and return the exit status."""
    import os

    from custody.errors import MisuseError
    from custody.spool.location import find_spool

    spool = find_spool(os.environ)
    if spool is None:
        raise MisuseError("there is no place for a spool", hint="set HOME or CUSTODY_SPOOL")
    return _rehearse(chosen, spool) if chosen.dry_run else _flush(chosen, spool)


def _flush(chosen: argparse.Namespace, spool: Spool) -> int:
    from custody.commands.access import service, settings
    from custody.spool.flushing import Flush, clear
    from custody.terminal import note

    if not spool.entries.exists():
        _report(chosen, ())
        return exits.OK
    spool.open()
    wait = lambda: note("custody  another custody flush is under way; waiting for it")  # noqa: E731 - said in one place
    with spool.alone("flushing", waiting=wait):
        clear(spool)
        if not spool.waiting():
            _report(chosen, ())
            return exits.OK
        with service(settings(chosen)) as remote:
            flush = Flush(spool, remote, keep_going=chosen.keep_going)
            _report(chosen, flush.run())
            return flush.status


def _rehearse(chosen: argparse.Namespace, spool: Spool) -> int:
    from custody.errors import ClientError
    from custody.spool.entry import read_entry
    from custody.spool.flushing import Fate

    fates = []
    for id_ in spool.waiting():
        try:
            fates.append(Fate(id_, "waits", read_entry(spool.entries / id_)))
        except ClientError as error:
            fates.append(Fate(id_, "damaged", error=error))
    _report(chosen, fates)
    return exits.OK


def _report(chosen: argparse.Namespace, fates: Iterable[Fate]) -> None:
    import json

    from custody.terminal import complain, note, say

    shown: list[Document] = []
    for fate in fates:
        shown.append(_document(fate))
        if not chosen.json:
            say(_line(fate))
        if fate.error is not None:
            complain(f"{fate.id}: {fate.error.message}", fate.error.hint)
    if chosen.json:
        say(json.dumps({"steps": shown}, sort_keys=True))
    elif not shown:
        note("custody  nothing waits to be delivered")


def _line(fate: Fate) -> str:
    from custody.running.report import size
    from custody.terminal import plain

    entry = fate.entry
    what = "" if entry is None else f"  {plain(entry.begin.get('name', ''))}  {size(entry.total())}"
    if fate.became == "left" and entry is not None:
        what += f"  it is for {plain(entry.service)}"
    if fate.delivered is not None and fate.delivered.whole:
        what += f"  the service had sealed it as unknown; recorded again as {fate.delivered.step}"
    return f"{fate.became:<9} {fate.id}{what}"


def _document(fate: Fate) -> Document:
    entry, delivered = fate.entry, fate.delivered
    found: Document = {"id": fate.id, "state": fate.became}
    if entry is not None:
        found |= {
            "name": entry.begin.get("name"),
            "outcome": entry.ending.get("outcome"),
            "service": entry.service,
            "size": entry.total(),
            "kept_at": entry.kept_at,
        }
    if delivered is not None:
        found |= {"step": delivered.step, "recorded_again": delivered.whole}
    if fate.error is not None:
        found |= {"reason": fate.error.message}
    return found
