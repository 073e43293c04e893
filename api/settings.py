"""What an operator can set: read once from the environment, `CUSTODY_*`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# Any scheme: `custody.stores` may bring more.
_STORE_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s?#@]*")
_FOLDER_ELSEWHERE = re.compile(r"file:(?!///)")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_OWN_PATHS = (
    *("v1", ".well-known", "builders", "buildtypes", "predicates", "problems"),
    *("healthz", "readyz", "metrics", "openapi.json"),
)
_DATABASES = {
    "postgresql+asyncpg": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
"""How a URL may begin, and the driver that follows."""
_ORIGIN = re.compile(r"[A-Za-z0-9._~:/-]{1,200}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(BaseSettings):
    """Every setting; `docs/settings.md` has a heading for each."""

    model_config = SettingsConfigDict(env_prefix="CUSTODY_", frozen=True, extra="ignore")

    data: Annotated[Path, Field(description="Folder of the embedded service: index, objects, keys.")] = Path(
        "custody-data"
    )
    listen: Annotated[str, Field(description="Address and port the api listens on.")] = "127.0.0.1:8080"
    public_url: Annotated[
        str | None,
        Field(description="The service's own address in statements; never taken from a request."),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(description="Host names served beside the one of the public URL, as a JSON list."),
    ] = ()
    quota_bytes: Annotated[
        int | None, Field(ge=0, description="Bytes that one project may keep; without it, any number.")
    ] = None
    project_quotas: Annotated[
        dict[str, Annotated[int, Field(ge=0)]],
        Field(description="Quotas of single projects in place of that, as a JSON object of bytes by name."),
    ] = Field(default_factory=dict)
    rate: Annotated[
        float | None,
        Field(gt=0, description="Requests a second of one project token, in each api process."),
    ] = None
    rate_burst: Annotated[
        int, Field(ge=1, description="Requests a token may make at once before the rate counts.")
    ] = 100
    database_url: Annotated[
        str | None,
        Field(
            description="URL of the index: postgresql://user:password@host/name; "
            "by default SQLite in the data folder."
        ),
    ] = None
    database_connections: Annotated[
        int, Field(ge=2, le=1000, description="Connections to PostgreSQL, in each process.")
    ] = 8
    database_connection_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            description="How long to wait for PostgreSQL to accept a connection, or for a free one.",
        ),
    ] = 10
    database_statement_seconds: Annotated[
        float, Field(gt=0, le=3600, description="PostgreSQL ends a statement that takes longer.")
    ] = 30
    database_lock_seconds: Annotated[
        float, Field(gt=0, le=3600, description="PostgreSQL ends a statement that waits longer for a lock.")
    ] = 10
    database_idle_seconds: Annotated[
        float,
        Field(gt=0, le=3600, description="PostgreSQL ends a transaction that does nothing for longer."),
    ] = 60
    store_url: Annotated[
        str | None,
        Field(
            description="Where objects are kept: file:///folder or s3://bucket/prefix; "
            "by default the folder objects in the data folder."
        ),
    ] = None
    s3_endpoint: Annotated[
        str | None, Field(description="Address of the S3 service; without one, that of AWS for the region.")
    ] = None
    s3_public_endpoint: Annotated[
        str | None,
        Field(
            description="Address under which clients reach the S3 service; "
            "without one they get no URLs of it and the api passes all bytes on."
        ),
    ] = None
    s3_region: Annotated[str, Field(description="Region of the bucket.")] = "us-east-1"
    s3_access_key: Annotated[
        str | None, Field(description="Access key id; without one, boto3 looks where it always does.")
    ] = None
    s3_secret_key: Annotated[SecretStr | None, Field(description="Secret of the access key.")] = None
    s3_sse: Annotated[
        str | None,
        Field(
            description="Server-side encryption: AES256, aws:kms, or aws:kms:<key id>; by default the bucket's."
        ),
    ] = None
    s3_object_lock_days: Annotated[
        int, Field(ge=0, le=36_500, description="Days for which published objects are locked; 0 locks none.")
    ] = 0
    s3_object_lock_mode: Annotated[
        Literal["GOVERNANCE", "COMPLIANCE"], Field(description="Mode of that lock.")
    ] = "GOVERNANCE"
    second_store_url: Annotated[
        str | None,
        Field(
            description="A copy of the object store that somebody else keeps filled: a scrub heals from it. "
            "Written as CUSTODY_STORE_URL; it is only read."
        ),
    ] = None
    second_s3_endpoint: Annotated[
        str | None,
        Field(description="Address of the S3 service of the second store; by default that of the first."),
    ] = None
    second_s3_region: Annotated[
        str | None, Field(description="Region of the second bucket; by default that of the first.")
    ] = None
    second_s3_access_key: Annotated[
        str | None,
        Field(
            description="Access key id for the second bucket, which needs to read only; by default the first."
        ),
    ] = None
    second_s3_secret_key: Annotated[SecretStr | None, Field(description="Secret of that access key.")] = None
    scrub_bytes_per_second: Annotated[
        int,
        Field(
            ge=0,
            description="Bytes that the worker hashes again each second, to find what was damaged where it "
            "lies; 0 leaves it to custody-server scrub. Set it on one worker.",
        ),
    ] = 0
    seal_key_file: Annotated[
        Path | None,
        Field(
            description="File with the key that seals what nobody signs, the same for every api and worker; "
            "it must be there. By default seal.key in the data folder, made on first use."
        ),
    ] = None
    metrics_listen: Annotated[
        str | None,
        Field(
            description="Address and port where a signer or worker shows its metrics to anybody; without one, "
            "nowhere. Under serve the worker takes the port after it."
        ),
    ] = None
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="How long an api that is told to stop says so in /readyz and goes on, before it takes "
            "no more connections.",
        ),
    ] = 0
    grace_hours: Annotated[
        float,
        Field(
            ge=1,
            le=87_600,
            description="How long bytes stay that were sent, named, or told of as present; then they may go. "
            "The same for every api and worker.",
        ),
    ] = 24
    retention_file: Annotated[
        Path | None,
        Field(
            description="TOML file with the rules by which named artifacts may go; without it none does. "
            "docs/operating.md has an example."
        ),
    ] = None
    collect_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=2_592_000,
            description="How often the worker removes what nobody needs and what rules let go; 0 leaves it to "
            "custody-server collect.",
        ),
    ] = 3600
    log_origin: Annotated[
        str | None,
        Field(
            description="Name of the log of everything that was signed, for ever; by default the host name of "
            "the public URL."
        ),
    ] = None
    log_level: Annotated[str, Field(description="debug, info, warning or error.")] = "info"

    @field_validator("data")
    @classmethod
    def _folder_has_no_question_mark(cls, value: Path) -> Path:
        if "?" in str(value.absolute()):
            # The rest of the path would be taken for options of the database.
            raise ValueError("choose a folder without ? in its path")
        return value

    @field_validator("listen", "metrics_listen")
    @classmethod
    def _listen_has_a_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("write it as host:port, for example 127.0.0.1:8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_plain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("write it as http(s)://host[:port][/path]")
        first = parts.path.lstrip("/").partition("/")[0]
        if "//" in parts.path or first in _OWN_PATHS or not _PLAIN_PATH.fullmatch(parts.path):
            # Below /v1 nobody could tell a path that a proxy stripped from one that it did not.
            raise ValueError("its path has plain segments and does not begin with one of the service's own")
        return value.rstrip("/")

    @field_validator("s3_endpoint", "s3_public_endpoint", "second_s3_endpoint")
    @classmethod
    def _endpoint_is_plain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("write it as http(s)://host[:port]")
        return value.rstrip("/")

    @field_validator("store_url", "second_store_url")
    @classmethod
    def _store_url_names_a_store(cls, value: str | None) -> str | None:
        if value is not None and (not _STORE_URL.fullmatch(value) or _FOLDER_ELSEWHERE.match(value)):
            raise ValueError("write it as file:///folder or s3://bucket/prefix")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_url_names_a_database(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, colon, rest = value.partition("://")
        if not colon or scheme not in _DATABASES:
            raise ValueError("write it as postgresql://user:password@host/name")
        return f"{_DATABASES[scheme]}://{rest}"

    @field_validator("s3_sse")
    @classmethod
    def _sse_is_known(cls, value: str | None) -> str | None:
        if value not in {None, "AES256", "aws:kms"} and not str(value).startswith("aws:kms:"):
            raise ValueError("use AES256, aws:kms or aws:kms:<key id>")
        return value

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("s3_access_key and s3_secret_key are set together")
        if (self.second_s3_access_key is None) != (self.second_s3_secret_key is None):
            raise ValueError("second_s3_access_key and second_s3_secret_key are set together")
        return self

    @field_validator("log_origin")
    @classmethod
    def _log_origin_is_one_word(cls, value: str | None) -> str | None:
        if value is not None and not _ORIGIN.fullmatch(value):
            raise ValueError("write it as a host name, with a path where you like, and without a scheme")
        return value

    @field_validator("log_level")
    @classmethod
    def _log_level_is_known(cls, value: str) -> str:
        if value not in {"debug", "info", "warning", "error"}:
            raise ValueError("use debug, info, warning or error")
        return value

    @property
    def host(self) -> str:
        """The address to bind."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to bind."""
        return int(self.listen.rpartition(":")[2])

    @property
    def url(self) -> str:
        """The public URL, or the one that follows from the listening address."""
        if self.public_url is not None:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """Every host name that may stand in a Host header, without port, lower case."""
        named = {urlsplit(self.url).hostname or "", *self.allowed_hosts}
        if self.host in _LOOPBACK:
            named.update(_LOOPBACK)
        return frozenset(host.strip("[]").lower() for host in named if host)

    @property
    def index_url(self) -> str:
        """The SQLAlchemy URL of the index."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data.absolute() / 'index' / 'custody.db'}"

    @property
    def store(self) -> str:
        """The URL of the object store."""
        return self.store_url or self.objects.absolute().as_uri()

    @property
    def objects(self) -> Path:
        """The folder of the directory store."""
        return self.data / "objects"

    @property
    def key_file(self) -> Path:
        """The signing key; only the signer process opens its folder."""
        return self.data / "keys" / "local-v1.pem"

    @property
    def log_key_file(self) -> Path:
        """The key that signs checkpoints of the log; it signs nothing else."""
        return self.data / "keys" / "log-v1.pem"

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self.log_origin or urlsplit(self.url).hostname or "localhost"

    @property
    def seal_key(self) -> Path:
        """The key that seals journal files and segments; the signer's folder does not hold it."""
        return self.seal_key_file or self.data / "seal.key"

    @property
    def token_file(self) -> Path:
        """The first token, for `custody-server env`; the service itself keeps only its hash."""
        return self.data / "token"
