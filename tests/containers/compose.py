"""docker-compose.yml as a test reads it: strictly, and no more of it than is used here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml  # type: ignore[import-untyped]  # it has no types
from pydantic import BaseModel, ConfigDict, Field

from tests.house.tree import ROOT, read

FILE = "docker-compose.yml"
OURS = ("objects", "migrate", "signer", "api", "worker", "operator")
"""The services that run our image."""
_ASKED = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
_Seconds = Annotated[str, Field(pattern=r"[1-9]\d*s")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Healthcheck(_Strict):
    """When a container counts as healthy."""

    test: list[str]
    interval: _Seconds
    timeout: _Seconds
    retries: Annotated[int, Field(ge=1)]
    start_period: _Seconds


class Needed(_Strict):
    """What has to be true of another service first."""

    condition: Literal["service_healthy", "service_completed_successfully"]


class Nocopy(_Strict):
    """How a volume is mounted."""

    nocopy: bool


class Mount(_Strict):
    """The long form of a volume."""

    type: Literal["volume"]
    source: str
    target: str
    volume: Nocopy


class Service(_Strict):
    """One service, with the members of the Compose specification that are used here."""

    image: str
    build: str | None = None
    user: str
    init: bool
    read_only: bool
    cap_drop: list[str]
    security_opt: list[str]
    restart: Literal["no", "unless-stopped"]
    stop_grace_period: _Seconds
    tmpfs: list[str]
    shm_size: str | None = None
    networks: list[str] = []
    network_mode: Literal["none"] | None = None
    profiles: list[str] = []
    depends_on: dict[str, Needed] = {}
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    environment: dict[str, str] = {}
    volumes: list[str | Mount] = []
    ports: list[str] = []
    healthcheck: Healthcheck | None = None

    @property
    def mounts(self) -> dict[str, str]:
        """What is mounted where, without the mode."""
        found = {}
        for volume in self.volumes:
            if isinstance(volume, Mount):
                found[volume.source] = volume.target
            else:
                source, target, *_ = volume.split(":")
                found[source] = target
        return found


class Network(_Strict):
    """A network."""

    internal: bool = False


class Compose(_Strict):
    """The whole file, without what begins with `x-`."""

    name: str
    services: dict[str, Service]
    networks: dict[str, Network]
    volumes: dict[str, dict[str, str]]


class _NoDuplicates(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
    """Refuses a key that stands twice: YAML takes the last, people read the first."""


def _mapping(loader: _NoDuplicates, node: yaml.MappingNode) -> dict[Any, Any]:  # Any: YAML
    written = [loader.construct_object(key) for key, _ in node.value if key.value != "<<"]
    assert len(written) == len(set(written)), f"{FILE}: a key stands twice: {written}"
    loader.flatten_mapping(node)
    # What stands here wins over what is merged, which the flattening puts before it.
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


_NoDuplicates.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def compose() -> Compose:
    """The file, before anything is put in for its variables."""
    written = yaml.load(read(FILE), _NoDuplicates)  # noqa: S506  # a safe loader all the same
    return Compose.model_validate(
        {name: value for name, value in written.items() if not name.startswith("x-")}
    )


def asked(text: str) -> set[str]:
    """The variables that have to be given."""
    return {name for name, how, _ in _ASKED.findall(text) if how != "-"}


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with its variables put in, as Compose does."""

    def value(found: re.Match[str]) -> str:
        return values[found[1]] if found[2] != "-" else values.get(found[1], found[3])

    return _ASKED.sub(value, text)


def arguments(service: Service) -> list[str]:
    """What the command of the image is given by a service."""
    return list(service.command or [])


@dataclass(frozen=True)
class Step:
    """One instruction of the Dockerfile."""

    word: str
    rest: str


def dockerfile() -> list[Step]:
    """The instructions, with continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    return [Step(*line.split(" ", 1)) for line in lines if line.strip() and not line.startswith("#")]
