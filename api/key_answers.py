"""What the answer about our public keys carries."""

from __future__ import annotations

from api.answers import Answer


class KeyAnswer(Answer):
    """A public key, and the builder it speaks for."""

    keyid: str
    builder_id: str
    algorithm: str
    public_key: str
    created_at: str


class KeysAnswer(Answer):
    """The keys of this service; not trust, only convenience."""

    version: int
    public_url: str
    keys: list[KeyAnswer]
