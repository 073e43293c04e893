"""Filing plain facts: tokens, runs, references, and what was revoked.

Nobody signs them, so a journal file counts only under the seal of this service; without a
seal it counts where the operator says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, InvalidInputError
from artifacts.identifiers import checked_ulid
from artifacts.named_keys import Named
from artifacts.queries import reindexed_facts, reindexing
from artifacts.queries.reindexed_facts import RevocationFact, RunFact, TokenFact
from artifacts.record_rows import RecordRows, moment
from artifacts.strict_json import loads
from artifacts.wire import ReferenceBody, Wire, reference_members


class _Run(Wire):
    fact: Literal["run"]
    id: str
    name: str
    named: bool = False
    principal: str
    recorded_at: str


class _Reference(Wire):
    fact: Literal["reference"]
    principal: str
    reference: ReferenceBody
    recorded_at: str


class _Token(Wire):
    fact: Literal["token"]
    id: str
    project: str
    label: str
    sha256: str
    recorded_at: str


class _Revocation(Wire):
    fact: Literal["revocation"]
    token: str
    sha256: str | None = None
    recorded_at: str


_Fact = Annotated[_Run | _Reference | _Token | _Revocation, Field(discriminator="fact")]
_FACT: TypeAdapter[_Run | _Reference | _Token | _Revocation] = TypeAdapter(_Fact)


@dataclass(slots=True)
class Facts:
    """What the journal files of one project tell."""

    project: str
    tokens: list[TokenFact] = field(default_factory=list)
    runs: list[RunFact] = field(default_factory=list)
    revoked: list[RevocationFact] = field(default_factory=list)
    references: list[tuple[ReferenceBody, int]] = field(default_factory=list)

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            InvalidInputError: it is not a fact that this service writes.
        """
        try:
            fact = _FACT.validate_python(loads(line))
            at = moment(fact.recorded_at)
        except (ValidationError, ValueError) as error:
            raise InvalidInputError("a line is no fact that this service writes") from error
        match fact:
            case _Token():
                self._token(fact, at)
            case _Run():
                found_by = fact.name if fact.named else None
                self.runs.append(
                    RunFact(self.project, checked_ulid(fact.id), fact.name, found_by, fact.principal, at)
                )
            case _Revocation():
                digest = None if fact.sha256 is None else Digest("sha256", fact.sha256).raw
                self.revoked.append(RevocationFact(self.project, checked_ulid(fact.token), digest, at))
            case _:
                fact.reference.to_ref()
                self.references.append((fact.reference, at))

    def _token(self, fact: _Token, at: int) -> None:
        if fact.project != self.project:
            raise InvalidInputError("a token is of another project than its file")
        digest = Digest("sha256", fact.sha256).raw
        self.tokens.append(TokenFact(self.project, checked_ulid(fact.id), fact.label, digest, at))


def facts_of(named: Named, content: bytes) -> Facts:
    """The facts of one journal file.

    Raises:
        InvalidInputError: it holds anything else; then nothing of it counts.
    """
    if Digest.of(content) != named.digest or not content.endswith(b"\n"):
        raise InvalidInputError("the file was changed: its name is not its digest")
    facts = Facts(named.project)
    try:
        for line in content[:-1].split(b"\n"):
            facts.add(line)
    except CustodyError as error:
        raise InvalidInputError(error.message) from error
    return facts


@dataclass(slots=True)
class Issued:
    """The tokens of all files, and which of them were revoked.

    They are filed together once every file was read: at no moment, however a reindex ends, does
    an index know a token and not its revocation.
    """

    tokens: list[TokenFact] = field(default_factory=list)
    revoked: list[RevocationFact] = field(default_factory=list)

    def add(self, facts: Facts) -> None:
        """Take in what one journal file tells."""
        self.tokens += facts.tokens
        self.revoked += facts.revoked

    async def file(self, database: Database) -> None:
        """Write all tokens, those that were revoked as such."""
        async with database.writing() as connection:
            await reindexed_facts.add_tokens(connection, self.tokens)
            await reindexed_facts.revoke_tokens(connection, self._resolved())

    def _resolved(self) -> list[RevocationFact]:
        """All revocations, with the hash wherever a line of the journal tells it."""
        secrets = {(one.project, one.id): one.digest for one in self.tokens}
        return [
            one if one.digest else replace(one, digest=secrets.get((one.project, one.id)))
            for one in self.revoked
        ]


async def file_facts(database: Database, files: Sequence[Facts], *, now: int) -> list[RunFact]:
    """Write what `files` tell, but for tokens; return runs whose name another run had first."""
    rows = RecordRows()
    for facts in files:
        for reference, at in facts.references:
            rows.name(facts.project, reference_members(reference.to_ref()), at=at, now=now)
    later: list[RunFact] = []
    async with database.writing() as connection:
        await reindexing.add_projects(connection, {facts.project for facts in files}, at=now)
        await reindexing.name(connection, rows)
        for facts in files:
            later += await reindexed_facts.add_runs(connection, facts.runs)
    return later
