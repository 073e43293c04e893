"""The same service as most would begin it: FastAPI with sync routes and the SQLAlchemy ORM.

It keeps the promise that is measured, so that the comparison is fair: one durable object a
record before the commit, and a token that is looked up for every request.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.bodies import RecordIn, Reference
from benchmarks.peers.grounds import Ground, ground, hashed
from benchmarks.peers.orm_tables import Artifact, Base, Consumed, Produced, Run, Token

_TRIES = 10


class RunOut(BaseModel):
    """A recorded step."""

    id: int
    name: str
    outcome: str
    recorded_at: datetime
    record: str


class ArtifactOut(BaseModel):
    """What is known of an artifact."""

    digest: str
    produced_by: list[RunOut]
    consumed_by: list[RunOut]


def create_app() -> FastAPI:
    """The application over what `PEER_*` names; its token is `PEER_TOKEN`."""
    return application(ground(), os.environ["PEER_TOKEN"])


def application(on: Ground, token: str) -> FastAPI:
    """The application over a database and a store."""
    Base.metadata.create_all(on.engine)
    sessions = sessionmaker(on.engine)
    with sessions.begin() as session:
        session.add(Token(hash=hashed(token), project="default"))
    app = FastAPI()

    def reading() -> Iterator[Session]:
        with sessions() as session:
            yield session

    def project(
        session: Annotated[Session, Depends(reading)], authorization: Annotated[str, Header()]
    ) -> str:
        found = session.scalar(
            select(Token).where(Token.hash == hashed(authorization.removeprefix("Bearer ")))
        )
        if found is None:
            raise HTTPException(401)
        return found.project

    @app.post("/v1/records", status_code=201)
    def record(body: RecordIn, owner: Annotated[str, Depends(project)]) -> RunOut:
        at = datetime.now(UTC)
        digest = on.keep({**body.model_dump(), "project": owner, "recorded_at": at.isoformat()})
        return _recorded(on, sessions, body, (owner, at, digest))

    @app.get("/v1/artifacts/{digest}")
    def look(
        digest: str,
        session: Annotated[Session, Depends(reading)],
        _owner: Annotated[str, Depends(project)],
    ) -> ArtifactOut:
        found = session.scalar(select(Artifact).where(Artifact.digest == digest))
        if found is None:
            raise HTTPException(404)
        return ArtifactOut(
            digest=found.digest,
            produced_by=[_described(edge.run) for edge in found.produced_by],
            consumed_by=[_described(edge.run) for edge in found.consumed_by],
        )

    return app


def _recorded(
    on: Ground, sessions: sessionmaker[Session], body: RecordIn, known: tuple[str, datetime, str]
) -> RunOut:
    """Write all rows; again, where another request wrote the same artifact at the same moment."""
    owner, at, digest = known
    for _ in range(_TRIES - 1):
        try:
            with on.turn, sessions.begin() as session:
                return _described(
                    _add(session, body, Run(project=owner, recorded_at=at, record_digest=digest))
                )
        except IntegrityError:
            continue
    raise HTTPException(503)


def _add(session: Session, body: RecordIn, run: Run) -> Run:
    run.name, run.outcome, run.command = body.name, body.outcome, json.dumps(body.command)
    known = _artifacts(session, [*body.inputs, *body.outputs], run.recorded_at)
    for given in body.inputs:
        run.inputs.append(Consumed(artifact=known[given.address], uri=given.uri))
    for given in body.outputs:
        run.outputs.append(Produced(artifact=known[given.address], uri=given.uri, name=given.name))
    session.add(run)
    session.flush()
    return run


def _artifacts(session: Session, given: list[Reference], at: datetime) -> dict[str, Artifact]:
    digests = {one.address for one in given}
    known = {one.digest: one for one in session.scalars(select(Artifact).where(Artifact.digest.in_(digests)))}
    for digest in sorted(digests - known.keys()):
        known[digest] = Artifact(digest=digest, created_at=at)
    session.add_all(known.values())
    return known


def _described(run: Run) -> RunOut:
    return RunOut(
        id=run.id,
        name=run.name,
        outcome=run.outcome,
        recorded_at=run.recorded_at,
        record=run.record_digest,
    )
