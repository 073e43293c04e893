"""The same service as most would begin it: FastAPI with sync routes, the SQLAlchemy ORM, SQLite.

It keeps the promise that is measured, so that the comparison is fair: SQLite in WAL mode
with `synchronous=FULL`, one durable object a record (file and directory forced to the
disk) before the commit, and a token that is looked up for every request. Writers wait
for a lock of this process, because waiting in SQLite's busy loop would only slow it down.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import create_engine, event, select
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.peers.orm_tables import Artifact, Base, Consumed, Produced, Run, Token

THREADS = 40
"""As many as Starlette runs sync routes in."""


class Reference(BaseModel):
    """An artifact as a request names it."""

    name: str
    uri: str | None = None
    digest: dict[str, str]


class RecordIn(BaseModel):
    """A finished step."""

    name: str
    command: list[str]
    outcome: str
    exit_status: int | None = None
    inputs: list[Reference]
    outputs: list[Reference]


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
    """The application over the folder that `PEER_DATA` names; its token is `PEER_TOKEN`."""
    top = Path(os.environ["PEER_DATA"])
    return application(top, os.environ["PEER_TOKEN"])


def application(top: Path, token: str) -> FastAPI:
    """The application over `top`."""
    objects = top / "objects"
    objects.mkdir(parents=True)
    sessions = _sessions(top / "index.db")
    with sessions.begin() as session:
        session.add(Token(hash=_hash(token), project="default"))
    turn = threading.Lock()
    app = FastAPI()

    def reading() -> Iterator[Session]:
        with sessions() as session:
            yield session

    def project(
        session: Annotated[Session, Depends(reading)], authorization: Annotated[str, Header()]
    ) -> str:
        found = session.scalar(
            select(Token).where(Token.hash == _hash(authorization.removeprefix("Bearer ")))
        )
        if found is None:
            raise HTTPException(401)
        return found.project

    @app.post("/v1/records", status_code=201)
    def record(body: RecordIn, owner: Annotated[str, Depends(project)]) -> RunOut:
        at = datetime.now(UTC)
        digest = _keep(objects, {**body.model_dump(), "project": owner, "recorded_at": at.isoformat()})
        with turn, sessions.begin() as session:
            return _described(_add(session, body, Run(project=owner, recorded_at=at, record_digest=digest)))

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


def _sessions(index: Path) -> sessionmaker[Session]:
    engine = create_engine(
        f"sqlite:///{index}", pool_size=THREADS * 2, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # Any: the driver's own connection
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")

    Base.metadata.create_all(engine)
    return sessionmaker(engine)


def _keep(objects: Path, record: dict[str, object]) -> str:
    """Write the record under its digest and return that, once it is on the disk."""
    content = json.dumps(record, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    with (objects / digest).open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    descriptor = os.open(objects, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest


def _add(session: Session, body: RecordIn, run: Run) -> Run:
    run.name, run.outcome, run.command = body.name, body.outcome, json.dumps(body.command)
    known = _artifacts(session, [*body.inputs, *body.outputs], run.recorded_at)
    for given in body.inputs:
        run.inputs.append(Consumed(artifact=known[_digest(given)], uri=given.uri))
    for given in body.outputs:
        run.outputs.append(Produced(artifact=known[_digest(given)], uri=given.uri, name=given.name))
    session.add(run)
    session.flush()
    return run


def _artifacts(session: Session, given: list[Reference], at: datetime) -> dict[str, Artifact]:
    digests = {_digest(one) for one in given}
    known = {one.digest: one for one in session.scalars(select(Artifact).where(Artifact.digest.in_(digests)))}
    for digest in digests - known.keys():
        known[digest] = Artifact(digest=digest, created_at=at)
    session.add_all(known.values())
    return known


def _digest(given: Reference) -> str:
    return f"sha256:{given.digest['sha256']}"


def _described(run: Run) -> RunOut:
    return RunOut(
        id=run.id,
        name=run.name,
        outcome=run.outcome,
        recorded_at=run.recorded_at,
        record=run.record_digest,
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
