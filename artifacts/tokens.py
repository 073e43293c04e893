"""Issuing and revoking project tokens: the journal has each before the index, so that neither is ever lost."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts import layout
from artifacts.clock import Clock, to_milliseconds, written
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.identifiers import new_ulid
from artifacts.queries import reindexed_facts, tokens
from artifacts.queries.reindexed_facts import RevocationFact
from artifacts.queries.tokens import TokenRow
from artifacts.seal import Seal
from artifacts.storage.protocol import ObjectStore
from artifacts.wire import canonical


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of every project, known by their hashes alone."""

    database: Database
    store: ObjectStore
    clock: Clock
    seal: Seal

    async def issue(self, row: TokenRow, *, digest: bytes) -> None:
        """Let whoever has the secret that hashes to `digest` speak for the project of `row`."""
        fact = {"fact": "token", "id": row.id, "project": row.project, "label": row.label}
        at = await self._journal(row.project, {**fact, "sha256": digest.hex()})
        async with self.database.writing() as connection:
            await tokens.ensure_project(connection, row.project, at=at)
            await tokens.add_token(connection, row, digest=digest, at=at)

    async def revoke(self, project: str, id_: str) -> None:
        """Let nobody use the token any more, also when the index is filled again.

        The journal may have the secret under another id too, of a start that was killed
        before the index knew it; so the revocation names the secret by its hash as well.
        """
        async with self.database.reading() as connection:
            digest = await tokens.digest_of(connection, project, id_)
        fact = {"fact": "revocation", "token": id_}
        at = await self._journal(project, fact if digest is None else {**fact, "sha256": digest.hex()})
        async with self.database.writing() as connection:
            revoked = RevocationFact(project, id_, digest, at)
            await reindexed_facts.revoke_tokens(connection, [revoked])

    async def _journal(self, project: str, fact: dict[str, str]) -> int:
        now = self.clock.now()
        line = canonical({**fact, "recorded_at": written(now)}).encode() + b"\n"
        key = layout.journal(project, new_ulid(now), Digest.of(line), now)
        await self.store.put(self.seal.put_on(key), line)
        return to_milliseconds(now)
