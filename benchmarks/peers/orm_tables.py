"""The peer's tables as ORM classes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The registry of the peer's tables."""


class Token(Base):
    """A bearer token, by hash."""

    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[bytes] = mapped_column(unique=True)
    project: Mapped[str]


class Artifact(Base):
    """Immutable bytes."""

    __tablename__ = "artifact"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    produced_by: Mapped[list[Produced]] = relationship(back_populates="artifact")
    consumed_by: Mapped[list[Consumed]] = relationship(back_populates="artifact")


class Run(Base):
    """A finished step."""

    __tablename__ = "run"
    id: Mapped[int] = mapped_column(primary_key=True)
    project: Mapped[str]
    name: Mapped[str]
    outcome: Mapped[str]
    command: Mapped[str]
    recorded_at: Mapped[datetime]
    record_digest: Mapped[str]
    inputs: Mapped[list[Consumed]] = relationship(back_populates="run")
    outputs: Mapped[list[Produced]] = relationship(back_populates="run")


class Produced(Base):
    """A run made an artifact."""

    __tablename__ = "produced"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"), index=True)
    uri: Mapped[str | None]
    run: Mapped[Run] = relationship(back_populates="outputs")
    artifact: Mapped[Artifact] = relationship(back_populates="produced_by")


class Consumed(Base):
    """A run used an artifact."""

    __tablename__ = "consumed"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"), primary_key=True, index=True)
    uri: Mapped[str | None]
    run: Mapped[Run] = relationship(back_populates="inputs")
    artifact: Mapped[Artifact] = relationship(back_populates="consumed_by")
