"""One walk over all names below `projects/`: what there is to be read, and what nobody put there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from artifacts import named_keys
from artifacts.errors import CorruptedError
from artifacts.layout import Key
from artifacts.limits import MAX_JSON_BYTES
from artifacts.named_keys import Kind, Named
from artifacts.record_rows import moment
from artifacts.refusals import Refusal, parse
from artifacts.storage.protocol import Listed, ObjectStore
from provenance.reindex.reading import fits
from provenance.reindex.records import Refusals
from provenance.reindex.report import Report, Told
from provenance.reindex.trees import FoundTree


@dataclass(slots=True)
class Survey:
    """The names of one bucket. Blobs and receipts are only counted: they are read a project at a time."""

    projects: set[str] = field(default_factory=set)
    journal: list[tuple[Named, Listed]] = field(default_factory=list)
    segments: list[tuple[Named, Listed]] = field(default_factory=list)
    refusals: list[Listed] = field(default_factory=list)
    manifests: list[tuple[Named, datetime]] = field(default_factory=list)
    vouched: dict[tuple[str, str], tuple[Key, datetime]] = field(default_factory=dict)
    """Receipts of trees, by project and digest."""

    def add(self, named: Named, listed: Listed) -> None:
        """Note one object."""
        self.projects.add(named.project)
        match named.kind:
            case Kind.JOURNAL:
                self.journal.append((named, listed))
            case Kind.SEGMENT:
                self.segments.append((named, listed))
            case Kind.REFUSAL:
                self.refusals.append(listed)
            case Kind.MANIFEST:
                self.manifests.append((named, listed.changed_at))
            case Kind.TREE_RECEIPT:
                self.vouched[named.project, named.digest.hex] = (named.key, listed.changed_at)
            case _:  # blobs, receipts and layouts have their turn later
                pass

    @property
    def trees(self) -> list[FoundTree]:
        """Manifests, in the order in which workers vouched for them."""
        found = []
        for named, put_at in self.manifests:
            receipt, at = self.vouched.get((named.project, named.digest.hex), (None, put_at))
            found.append(FoundTree(named, receipt, at))
        return sorted(found, key=lambda tree: (tree.at, tree.named.key))


async def survey(store: ObjectStore, report: Report, told: Told) -> Survey:
    """Look at every name below `projects/`."""
    found, looked = Survey(), 0
    async for listed in store.list("projects/"):
        named = named_keys.named(listed.key)
        if named is None:
            report.doubt(listed.key, "nothing of ours has such a name")
        else:
            report.counts[f"{named.kind}s"] += 1
            found.add(named, listed)
        looked += 1
        told("names", looked)
    # File names begin with ULIDs, so that facts come about in the order in which they were written.
    found.journal.sort(key=lambda one: (one[0].detail, one[0].key))
    found.segments.sort(key=lambda one: one[0].key)
    return found


async def read_refusals(store: ObjectStore, found: Survey, report: Report) -> Refusals:
    """What the signer refused for ever, by record."""
    refusals = {}
    for listed in found.refusals:
        if not fits(listed, MAX_JSON_BYTES, report):
            continue
        named = named_keys.named(listed.key)
        try:
            refusal, at = parse(await store.read(listed.key))
            _check_place(named, refusal)
            refusals[refusal.record.raw] = (refusal, moment(at))
        except (CorruptedError, ValueError) as error:
            report.doubt(listed.key, str(error))
    return refusals


def _check_place(named: Named | None, refusal: Refusal) -> None:
    about = (refusal.project, refusal.step, refusal.record)
    if named is None or (named.project, named.detail, named.digest) != about:
        raise CorruptedError("the refusal belongs elsewhere")
