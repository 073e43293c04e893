"""The lines that `custody run` prints around a command's own output."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from custody.products import Kept
from custody.terminal import note, plain
from custody.tree import short
from custody.wire import Document, listed, text

SHOWN = 20
"""Lines of inputs or outputs that are shown; the rest is counted."""

SPOOLED = "kept    in the spool; custody flush delivers it"

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def header(project: str, source: str, address: str) -> str:
    """Return the first line: who, where, which trust."""
    parts = [
        f"project {project}" if project else "",
        source,
        "builder local, reported by this machine",
        address,
    ]
    return "custody  " + " · ".join(plain(part) for part in parts if part)


def show_inputs(inputs: Sequence[Mapping[str, object]]) -> None:
    """Write a line for each of the first inputs."""
    for one in inputs[:SHOWN]:
        note(f"in      {input_line(one)}")
    _rest("in", len(inputs), "inputs")


def input_line(one: Mapping[str, object]) -> str:
    """Return one input: what it is called, and its digest."""
    named = plain(one.get("uri") or one.get("name") or "")
    digests = one.get("digest")
    shown = " ".join(short(f"{k}:{v}") for k, v in digests.items()) if isinstance(digests, dict) else ""
    annotations = one.get("annotations")
    state = annotations.get("state") if isinstance(annotations, dict) else None
    return "  ".join(part for part in (named, shown, f"({plain(state)})" if state else "") if part)


def show_outputs(kept: Sequence[Kept]) -> None:
    """Write a line for each of the first outputs, with the digest that the service stored."""
    width = min(48, max((len(plain(one.name)) for one in kept[:SHOWN]), default=0))
    for one in kept[:SHOWN]:
        note(f"out     {plain(one.name):<{width}}  {plain(one.digest)}  {size(one.size):>9}  {one.how}")
    _rest("out", len(kept), "outputs")


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def show_seal(page: Document, seconds: float) -> None:
    """Write how far the evidence is: signed, sealed or refused."""
    attestations = listed(page, "attestations")
    for one in attestations:
        key = plain(text(one, "keyid"))
        note(f"signed  {_statement(one, page)} · key {key} · {seconds:.2f} s")
    if not attestations:
        note(f"{plain(text(page, 'state')) or 'sealed'}  not signed yet; step {plain(text(page, 'id'))}")


def _statement(attestation: Document, page: Document) -> str:
    """What was signed; a record is never called provenance."""
    kind = text(attestation, "predicate_type")
    if not kind.endswith("/predicates/record/v1"):
        return plain(kind)
    outcome = text(page, "outcome")
    what = "a step without outputs" if outcome == "succeeded" else f"a step whose outcome is {plain(outcome)}"
    return f"a record of {what}, not provenance"


def next_line(kept: Sequence[Kept], *, succeeded: bool, log: Kept | None) -> str:
    """Return the last line: what to do next."""
    stored = [one for one in kept if one.stored]
    if succeeded and stored:
        # A name with a percent sign may be an encoded one, which no file has; a directory has no digest to read.
        by_digest = "%" in stored[0].name or Path(stored[0].name).is_dir()
        subject = stored[0].digest if by_digest else stored[0].name
        return f"next    custody verify {shlex.quote(plain(subject))}"
    if log is not None and log.size:
        return f"next    custody get {plain(log.digest)} -"
    return "next    custody run --output GLOB -- COMMAND    names what a step makes"


def _rest(word: str, count: int, what: str) -> None:
    if count > SHOWN:
        note(f"{word:<7} and {count - SHOWN} more {what}")
