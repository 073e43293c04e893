"""The 32 bytes an artifact is filed under in the index."""

from __future__ import annotations

import hashlib

from artifacts.digest import Digest


def address(digest: Digest) -> bytes:
    """Where `digest` is filed: sha256 as it is, any other under a hash of its written form.

    The hash is SHA-512 cut to 32 bytes: nobody can find content whose *sha256* equals it,
    so a blob cannot be made to stand where a git commit stands.
    """
    if digest.algorithm == "sha256":
        return digest.raw
    return hashlib.sha512(str(digest).encode()).digest()[:32]
