"""Delivering one step from the spool, so that it arrives once however often that is tried.

1. The run is found and the step begun, as it was or would have been: same id, same hash
   of its token, so a service that knows the step finds it.
2. Inputs and outputs are added, missing bytes sent, the step finished. All of that may be
   repeated; the project's token is used, for the step's own was never written down.
3. A step that the service has given up on meanwhile (it expires a day after begin, and is
   sealed as `unknown`) cannot be changed any more. It is recorded again, whole, under an
   id chosen when it came into the spool, in the same run: two records, neither hidden.

The times of the service are those of the delivery; those of this machine travel as claims.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from custody.bodies import Content
from custody.errors import ContentError, RefusedError
from custody.service import Service
from custody.spool.entry import Entry, Made, tree_folder
from custody.wire import Document, text

_FINISHED = "step-finished"
_OF_BEGIN_ALONE = ("id", "token_sha256", "expires_in", "run")

Sent = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The step as the service has it; `whole` where it had given up on the one that began."""

    step: str
    page: Document
    whole: bool


def deliver(service: Service, entry: Entry, folder: Path, sent: Sent) -> Delivered:
    """Deliver `entry`, whose bytes lie in `folder`.

    Raises:
        ServiceError: The service is away, or refuses.
        ContentError: The bytes in the spool are damaged.
    """
    body = dict(entry.begin)
    if entry.run is not None:
        body["run"] = service.run_named(entry.run)
    page = service.begin(body)
    try:
        if text(page, "state") == "open":
            _add(service, entry, folder, sent)
        return Delivered(entry.id, service.finish(entry.id, entry.ending, wait=0), False)
    except RefusedError as error:
        if error.slug != _FINISHED:
            raise
    return _whole(service, entry, folder, text(page, "run"), sent)


def _add(service: Service, entry: Entry, folder: Path, sent: Sent) -> None:
    service.add_inputs(entry.id, entry.inputs)
    _send_trees(service, entry, folder)
    missing = _missing(service, entry)
    known: list[dict[str, object]] = []
    for one in entry.outputs:
        if one.here and f"sha256:{one.sha256}" in missing:
            query = {name: str(value) for name, value in one.more.items() if name == "uri"}
            content = _content(folder, one)
            service.put_output(entry.id, one.name, content, one.sha256, role=one.role, **query)
        else:
            known.append({**one.reference(), "role": one.role})
        sent(one.size if one.here else 0)
    # After the uploads: the same bytes may stand under another name.
    if known:
        service.add_outputs(entry.id, known)


def _whole(service: Service, entry: Entry, folder: Path, run: str, sent: Sent) -> Delivered:
    _send_trees(service, entry, folder)
    missing = _missing(service, entry)
    for one in entry.outputs:
        if one.here and f"sha256:{one.sha256}" in missing:
            service.put(_content(folder, one), one.sha256)
            missing.discard(f"sha256:{one.sha256}")
        sent(one.size if one.here else 0)
    facts = {name: value for name, value in entry.begin.items() if name not in _OF_BEGIN_ALONE}
    parameters = {**facts.get("parameters", {}), **entry.ending.get("parameters", {})}
    page = service.record_whole(
        {
            **facts,
            **entry.ending,
            "parameters": parameters,
            "id": entry.record,
            "run": run,
            "inputs": entry.inputs,
            "outputs": [one.reference() for one in entry.outputs if one.role == "output"],
            "byproducts": [one.reference() for one in entry.outputs if one.role == "byproduct"],
        }
    )
    return Delivered(entry.record, page, True)


def _send_trees(service: Service, entry: Entry, folder: Path) -> None:
    """Send the directories; from then on they are references like those to any tree."""
    trees = {one.sha256 for one in entry.outputs if one.here and one.is_tree}
    if not trees:
        return
    from custody.spool.directories import copied_tree
    from custody.trees.keeping import send

    for sha256 in sorted(trees):
        send(service.transport, copied_tree(folder / tree_folder(sha256), sha256))


def _missing(service: Service, entry: Entry) -> set[str]:
    here = dict.fromkeys(f"sha256:{one.sha256}" for one in entry.outputs if one.here and not one.is_tree)
    return service.missing(list(here)) if here else set()


def _content(folder: Path, one: Made) -> Content:
    """Return the kept bytes, hashed once more: a disk may have lied since.

    Raises:
        ContentError: They are not what was kept.
    """
    path = folder / one.sha256
    opened: Callable[[], BinaryIO] = lambda: path.open("rb")  # noqa: E731 - the type is needed
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise ContentError(f"{path}: {error.strerror}") from error
    if (found, size) != (one.sha256, one.size):
        raise ContentError(f"{one.name}: the bytes in the spool are damaged")
    return Content(one.size, opened)
