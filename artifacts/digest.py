"""Digests: how bytes are addressed.

Names of algorithms are those of the in-toto DigestSet specification
(in-toto/attestation spec/v1/digest_set.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from artifacts.errors import InvalidDigestError

# The order in which an artifact without sha256 chooses its address; never reorder, only append.
HEX_LENGTHS: Mapping[str, tuple[int, ...]] = {
    "sha256": (64,),
    "sha384": (96,),
    "sha512": (128,),
    "sha512_256": (64,),
    "sha3_256": (64,),
    "sha3_384": (96,),
    "sha3_512": (128,),
    "gitCommit": (40, 64),
    "gitTree": (40, 64),
    "gitBlob": (40, 64),
    "gitTag": (40, 64),
}
_ORDER = {algorithm: place for place, algorithm in enumerate(HEX_LENGTHS)}
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The address of some bytes, written `sha256:<hex>` as OCI writes it.

    Invariant: an instance is always well formed, so code that holds a `Digest`
    never checks one again.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        lengths = HEX_LENGTHS.get(self.algorithm)
        if lengths is None:
            raise InvalidDigestError(
                "the digest algorithm is not supported",
                hint=f"use one of {', '.join(HEX_LENGTHS)}",
                given=self.algorithm[:40],
            )
        if len(self.hex) not in lengths or not _HEX.fullmatch(self.hex):
            raise InvalidDigestError(
                f"{self.algorithm} is written in {' or '.join(map(str, lengths))} lowercase hex digits",
                given=self.hex[:200],
            )

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def raw(self) -> bytes:
        """The digest as bytes: 32 for sha256."""
        return bytes.fromhex(self.hex)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read the written form.

        Raises:
            InvalidDigestError: `text` is not `<algorithm>:<hex>` of a supported algorithm.
        """
        algorithm, colon, value = text.partition(":")
        if not colon:
            raise InvalidDigestError(
                "a digest is written algorithm:hex", hint="for example sha256:9f86d0…", given=text[:200]
            )
        return cls(algorithm, value)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """The sha256 of `content`."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    @classmethod
    def sha256(cls, raw: bytes) -> Digest:
        """The sha256 digest whose 32 bytes are `raw`."""
        return cls("sha256", raw.hex())


@dataclass(frozen=True, slots=True)
class DigestSet:
    """Digests of the same bytes by several algorithms; never empty, one an algorithm.

    Kept as pairs in the fixed order of `HEX_LENGTHS`, so that equal sets are equal
    values and the first one is the artifact's address.
    """

    digests: tuple[Digest, ...]

    def __post_init__(self) -> None:
        if not self.digests:
            raise InvalidDigestError(
                "a reference needs a digest", hint='give at least {"sha256": "<hex>"}', given="{}"
            )

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> DigestSet:
        """Read a DigestSet as JSON carries it.

        Raises:
            InvalidDigestError: it is empty, or a member is malformed or not supported.
        """
        known = [Digest(algorithm, value) for algorithm, value in given.items()]
        if len(known) > 1:
            known.sort(key=lambda digest: _ORDER[digest.algorithm])
        return cls(tuple(known))

    @classmethod
    def only(cls, digest: Digest) -> DigestSet:
        """The set that holds just `digest`."""
        return cls((digest,))

    def __iter__(self) -> Iterator[Digest]:
        return iter(self.digests)

    @property
    def identity(self) -> Digest:
        """The artifact's address: sha256 where there is one, else the first by the fixed order."""
        return self.digests[0]

    def to_wire(self) -> dict[str, str]:
        """The DigestSet as JSON carries it."""
        return {digest.algorithm: digest.hex for digest in self.digests}
