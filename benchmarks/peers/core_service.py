"""The quickest that sync code gets without a queue of its own: one route over SQLAlchemy Core.

A request is one transaction: rows go in by `executemany`, and no row is read back. It keeps
what `orm_service` keeps: a token looked up each time, one durable object before the commit.
"""

import json
import os
from datetime import UTC, datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy.dialects import postgresql, sqlite

from benchmarks.peers.bodies import RecordIn, Reference
from benchmarks.peers.grounds import Ground, ground, hashed

_metadata = sa.MetaData()
_token = sa.Table(
    "token",
    _metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
)
_artifact = sa.Table(
    "artifact",
    _metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
_run = sa.Table(
    "run",
    _metadata,
    sa.Column("record", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
)


def _edges(name: str) -> sa.Table:
    return sa.Table(
        name,
        _metadata,
        sa.Column("run", sa.ForeignKey("run.record"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("artifact", sa.ForeignKey("artifact.digest"), nullable=False, index=True),
        sa.Column("uri", sa.Text),
    )


_consumed, _produced = _edges("consumed"), _edges("produced")


class Recorded(BaseModel):
    """A recorded step."""

    record: str
    name: str
    outcome: str
    recorded_at: datetime


def create_app() -> FastAPI:
    """The application over what `PEER_*` names; its token is `PEER_TOKEN`."""
    return application(ground(), os.environ["PEER_TOKEN"])


def application(on: Ground, token: str) -> FastAPI:
    """The application over a database and a store."""
    _metadata.create_all(on.engine)
    dialect = sqlite if on.engine.dialect.name == "sqlite" else postgresql
    artifacts = dialect.insert(_artifact).on_conflict_do_nothing()
    owner_of = sa.select(_token.c.project).where(_token.c.hash == sa.bindparam("hash"))
    with on.engine.begin() as connection:
        connection.execute(sa.insert(_token), {"hash": hashed(token), "project": "default"})
    app = FastAPI()

    @app.post("/v1/records", status_code=201)
    def record(body: RecordIn, authorization: Annotated[str, Header()]) -> Recorded:
        secret = {"hash": hashed(authorization.removeprefix("Bearer "))}
        with on.engine.connect() as connection:
            owner = connection.scalar(owner_of, secret)
        if owner is None:
            raise HTTPException(401)
        at = datetime.now(UTC)
        digest = on.keep({**body.model_dump(), "project": owner, "recorded_at": at.isoformat()})
        step = {"record": digest, "project": owner, "name": body.name, "outcome": body.outcome}
        step |= {"command": json.dumps(body.command), "recorded_at": at}
        digests = sorted({one.address for one in (*body.inputs, *body.outputs)})
        with on.turn, on.engine.begin() as connection:
            connection.execute(artifacts, [{"digest": one, "created_at": at} for one in digests])
            connection.execute(sa.insert(_run), step)
            connection.execute(sa.insert(_consumed), _rows(digest, body.inputs))
            connection.execute(sa.insert(_produced), _rows(digest, body.outputs))
        return Recorded(record=digest, name=body.name, outcome=body.outcome, recorded_at=at)

    return app


def _rows(run: str, given: list[Reference]) -> list[dict[str, str | None]]:
    return [{"run": run, "name": one.name, "artifact": one.address, "uri": one.uri} for one in given]
