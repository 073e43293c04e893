"""Reads that every request makes, gathered: those that come together are answered by one statement.

A read always begins after it was asked for, so it sees whatever was committed before: a
token revoked a moment ago is refused, a step sealed a moment ago is shown sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artifacts.batcher import Batcher
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, NotFoundError
from artifacts.limits import MAX_BATCH
from artifacts.queries import artifact_pages, attestations, steps, tokens
from artifacts.queries.artifact_pages import ArtifactPage
from artifacts.queries.attestations import AttestationRow
from artifacts.queries.steps import LedgerRow, StepRow
from artifacts.queries.tokens import TokenRow


@dataclass(frozen=True, slots=True)
class StepPage:
    """A step, and how far its evidence has come."""

    row: StepRow
    signed: tuple[AttestationRow, ...]
    ledger: tuple[LedgerRow, ...]


class Reads:
    """Looks up tokens and steps for many requests at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tokens: Batcher[bytes, TokenRow | None] = Batcher(self._find_tokens, limit=MAX_BATCH)
        self._artifacts: Batcher[tuple[str, Digest], ArtifactPage | None] = Batcher(
            self._find_artifacts, limit=MAX_BATCH
        )
        self._pages: Batcher[tuple[str, str], StepPage] = Batcher(self._find_pages, limit=MAX_BATCH)

    @property
    def batchers(self) -> dict[str, Batcher[Any, Any]]:  # Any: each batches something else
        """What is gathered here, by name, for whoever counts."""
        return {"tokens": self._tokens, "artifacts": self._artifacts, "steps": self._pages}

    async def token(self, digest: bytes) -> TokenRow | None:
        """The project token with this hash, unless it was revoked."""
        return await self._tokens.submit(digest)

    async def step_page(self, project: str, step_id: str) -> StepPage:
        """The step `step_id` of `project`.

        Raises:
            NotFoundError: there is none.
        """
        return await self._pages.submit((project, step_id))

    async def artifact(self, project: str, digest: Digest) -> ArtifactPage | None:
        """All that `project` recorded of an artifact, if it has one under this very digest."""
        return await self._artifacts.submit((project, digest))

    async def _find_artifacts(
        self, asked: Sequence[tuple[str, Digest]]
    ) -> list[ArtifactPage | Exception | None]:
        found: dict[tuple[str, Digest], ArtifactPage] = {}
        async with self._database.reading() as connection:
            for project in sorted({project for project, _ in asked}):
                digests = sorted({digest for owner, digest in asked if owner == project})
                pages = await artifact_pages.find_pages(connection, project, digests)
                found.update(((project, digest), page) for digest, page in pages.items())
        return [found.get(one) for one in asked]

    async def _find_tokens(self, digests: Sequence[bytes]) -> list[TokenRow | Exception | None]:
        async with self._database.reading() as connection:
            found = await tokens.find_tokens(connection, sorted(set(digests)))
        return [found.get(digest) for digest in digests]

    async def _find_pages(self, asked: Sequence[tuple[str, str]]) -> list[StepPage | Exception]:
        pages: dict[tuple[str, str], StepPage] = {}
        async with self._database.reading() as connection:
            for project in sorted({project for project, _ in asked}):
                ids = sorted({step_id for owner, step_id in asked if owner == project})
                rows = await steps.find_steps(connection, project, ids)
                signed = await attestations.of_steps(connection, project, ids)
                ledgers = await steps.ledgers(connection, project, ids)
                for id_, row in rows.items():
                    mine = tuple(one for one in signed if one.step == id_)
                    pages[project, id_] = StepPage(row, mine, tuple(ledgers[id_]))
        return [pages.get(one) or _missing(one[1]) for one in asked]


def _missing(step_id: str) -> CustodyError:
    return NotFoundError("there is no such step", step=step_id)
