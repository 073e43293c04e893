"""Which keys count while an index is filled: those the operator brings, never those the bucket offers.

Whoever can write to the bucket can put a key there. So `control/keys` only says which builder
a key speaks for, and only for keys that are trusted already: the signer's own, from the data
folder, and those given by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError
from artifacts.limits import MAX_JSON_BYTES
from artifacts.storage.protocol import ObjectStore
from provenance.keys import PublicKey
from provenance.published_keys import PublishedKey, parse
from provenance.reindex.reading import fits
from provenance.reindex.report import Report


@dataclass(slots=True)
class Trust:
    """Trusted keys, and the builders that each of them may speak for."""

    keys: frozenset[PublicKey]
    builders: dict[str, set[str]] = field(default_factory=dict)
    """By keyid."""
    keyids: dict[PublicKey, str] = field(init=False)
    """Worked out once: doing it again costs half as much as verifying a signature."""

    def __post_init__(self) -> None:
        self.keyids = {key: key.keyid for key in self.keys}

    def speaks_for(self, keyid: str, builder_id: str) -> bool:
        """Whether statements of `builder_id` are signed by the key."""
        return builder_id in self.builders.get(keyid, ())


async def trusted(
    store: ObjectStore, keys: Iterable[PublicKey], *, own_builder: str, report: Report
) -> Trust:
    """Trust `keys` for `own_builder`, and for whatever builders were published with them."""
    trust = Trust(frozenset(keys))
    known = set(trust.keyids.values())
    trust.builders = {keyid: {own_builder} for keyid in known}
    async for listed in store.list("control/keys/"):
        report.counts["keys"] += 1
        if not fits(listed, MAX_JSON_BYTES, report):
            continue
        try:
            published = parse(await store.read(listed.key))
        except CorruptedError as error:
            report.doubt(listed.key, error.message)
            continue
        if listed.key != _key_of(published):
            report.doubt(listed.key, "the key lies under another name than its own")
        elif published.keyid not in known:
            report.doubt(listed.key, "nobody here trusts this key; --trust-key does")
        else:
            trust.builders[published.keyid].add(published.builder_id)
    return trust


def _key_of(published: PublishedKey) -> layout.Key:
    return layout.public_key(Digest.of(f"{published.builder_id}\n{published.public_key}".encode()))
