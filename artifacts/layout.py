"""Where each object lies in the bucket; the only place that spells keys (`docs/formats.md`).

Keys are built from validated parts alone: a project name, a ULID, hex digits, a date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from artifacts.control import EventName, RemovalName
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.identifiers import checked_ulid
from artifacts.steps import checked_project

# One key: parts of plain characters; no part begins with a dot, so `..` cannot be spelled.
_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
STAGING = "staging"
JOINED = "joined"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The name of an object; always relative, always without tricks."""

    text: str

    def __post_init__(self) -> None:
        if len(self.text) > 1000 or not _FORM.fullmatch(self.text):
            raise InvalidInputError("not an object key", given=self.text[:200])

    def __str__(self) -> str:
        return self.text


def _sharded(digest: Digest) -> str:
    if digest.algorithm != "sha256":
        raise InvalidInputError("bytes are kept under their sha256 only", given=str(digest))
    return f"sha256/{digest.hex[:2]}/{digest.hex[2:4]}/{digest.hex}"


def blob(project: str, digest: Digest) -> Key:
    """The bytes of `digest` in `project`."""
    return Key(f"projects/{checked_project(project)}/blobs/{_sharded(digest)}")


def receipt(project: str, digest: Digest, kind: str) -> Key:
    """The receipt that `kind` (`api` or `worker`) wrote for `digest`; `tree` is a worker's for a tree."""
    if kind not in {"api", "worker", "tree"}:
        raise InvalidInputError("not a kind of receipt", given=kind[:40])
    return Key(f"projects/{checked_project(project)}/receipts/{kind}/{_sharded(digest)}.json")


def manifest(project: str, tree: Digest) -> Key:
    """The manifest of the tree `tree`, compressed."""
    return Key(f"projects/{checked_project(project)}/trees/{_sharded(tree)}.zst")


def tree_layout(project: str, digest: Digest) -> Key:
    """The layout whose text has `digest`, compressed."""
    return Key(f"projects/{checked_project(project)}/layouts/{_sharded(digest)}.zst")


def segment(project: str, first_step: str, digest: Digest, at: datetime) -> Key:
    """The segment of sealed records whose bytes have `digest` and whose first is `first_step`."""
    month = f"{at.year:04d}/{at.month:02d}"
    name = f"{checked_ulid(first_step)}-{digest.hex}.ndjson"
    return Key(f"projects/{checked_project(project)}/records/{month}/{name}")


def journal(project: str, ulid: str, digest: Digest, at: datetime) -> Key:
    """A file of plain facts that are no record."""
    month = f"{at.year:04d}/{at.month:02d}"
    name = f"{checked_ulid(ulid)}-{digest.hex}.ndjson"
    return Key(f"projects/{checked_project(project)}/journal/{month}/{name}")


def refusal(project: str, step: str, record: Digest) -> Key:
    """Why the signer refused the record with that digest for ever."""
    return Key(f"projects/{checked_project(project)}/refusals/{checked_ulid(step)}-{record.hex}.json")


def attestation(digest: Digest) -> Key:
    """The bundle whose bytes have `digest`."""
    return Key(f"attestations/sha256/{Digest('sha256', digest.hex).hex}.json")


def public_key(pair: Digest) -> Key:
    """A public key and its builder, under the sha256 of both."""
    return Key(f"control/keys/{pair.hex}.json")


def tombstone(name: RemovalName) -> Key:
    """The signed word that bytes were removed."""
    return Key(f"control/tombstones/{name.project}/{name.kind}/{name.digest.hex}/{name.generation:08d}.json")


def hold(name: EventName) -> Key:
    """The signed word that a hold was placed or lifted."""
    return Key(f"control/holds/{name.project}/{name.digest.hex}/{name.event}.json")


def log_checkpoint() -> Key:
    """The newest checkpoint of the log; the only object that is written over as a rule."""
    return Key("log/checkpoint")


def log_tile(path: str) -> Key:
    """The tile of the log with that name, as C2SP tlog-tiles spells it."""
    return Key(f"log/tile/{path}")


def log_key() -> Key:
    """The public key of the log, as one word."""
    return Key("log/key")


def staging(ulid: str) -> Key:
    """An upload under way."""
    return Key(f"{STAGING}/{checked_ulid(ulid)}")


def part(upload: str, number: int) -> Key:
    """One part of a resumable upload; the only kind of key a client is ever given a URL to write."""
    return Key(f"{parts(upload)}{number:05d}")


def parts(upload: str) -> str:
    """The prefix of the parts of a resumable upload."""
    return f"{STAGING}/{checked_ulid(upload)}-"


def joined(ulid: str) -> Key:
    """The joined parts of an upload while they are hashed; no client is ever given a URL for it."""
    return Key(f"{JOINED}/{checked_ulid(ulid)}")
