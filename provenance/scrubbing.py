"""Whether objects below `control/` are what was written there, for a scrub.

1. A published key lies under the sha256 of itself and its builder, and is written as we write.
2. Everything else is a bundle, written to the byte as the signer writes it, of the very
   decision that its name names, and one of the published keys signed it.

This finds what was damaged, cut off or put in another's place. It decides of nothing that it is
true: whoever can write below `control/` can publish a key there. What counts is what keys sign
that the operator trusts (`provenance.reindex.control`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from artifacts import layout, named_keys
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, CustodyError, EvidenceError
from artifacts.layout import Key
from artifacts.scrubbing.checks import CheckControl
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import loads
from artifacts.wire import canonical
from provenance import control, dsse
from provenance.bundle import Bundle
from provenance.keys import PublicKey
from provenance.published_keys import PublishedKey, parse

_KEYS: Final = "control/keys/"


@dataclass(frozen=True, slots=True)
class ControlCheck:
    """Checks the objects below `control/` by the keys that are published there.

    Where a published key is damaged, signatures by none of the others cannot be judged.
    """

    keys: frozenset[PublicKey]
    all_whole: bool = True

    def __call__(self, key: Key, content: bytes) -> None:
        """Return if `content` is what was written under `key`.

        Raises:
            CorruptedError: it is not.
        """
        try:
            if str(key).startswith(_KEYS):
                _check_key(key, content)
            else:
                self._check_decision(key, content)
        except EvidenceError as error:
            raise CorruptedError(error.message) from error

    def _check_decision(self, key: Key, content: bytes) -> None:
        """Step 2."""
        bundle = Bundle.parse(content)
        if bundle.to_bytes() != content:
            raise EvidenceError("it is not written as the signer writes")
        if self.all_whole or bundle.hint in {key.keyid for key in self.keys}:
            dsse.verify(bundle.envelope, self.keys)
        if control.read(bundle.envelope.payload).name != named_keys.decision(key):
            raise EvidenceError("it is about something else than its name says")


def _check_key(key: Key, content: bytes) -> None:
    """Step 1."""
    if _place_of(parse(content)) != key:
        raise EvidenceError("the key lies under another name than its own")
    if canonical(loads(content)).encode() != content:
        raise EvidenceError("it is not written as this service writes")


def _place_of(published: PublishedKey) -> Key:
    return layout.public_key(Digest.of(f"{published.builder_id}\n{published.public_key}".encode()))


async def control_check(*stores: ObjectStore) -> CheckControl:
    """The check by all keys that `stores` have and that are whole."""
    keys, all_whole = set(), True
    for store in stores:
        async for listed in store.list(_KEYS):
            try:
                content = await store.read(listed.key)
                _check_key(listed.key, content)
                keys.add(PublicKey.from_pem(parse(content).public_key.encode()))
            except CustodyError:
                all_whole = False  # the scrub itself will say so
    return ControlCheck(frozenset(keys), all_whole)
