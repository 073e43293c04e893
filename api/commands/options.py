"""Flags that several commands share, and how they become settings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pydantic import SecretStr, ValidationError

from api.settings import Settings
from api.supervising import stop_with_parent


def add_folder(command: argparse.ArgumentParser) -> None:
    """Add `--data`."""
    command.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the index, the objects and the key (default: $CUSTODY_DATA or ./custody-data)",
    )


def add_listen(command: argparse.ArgumentParser) -> None:
    """Add `--listen` and `--public-url`."""
    command.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where the api listens (default: $CUSTODY_LISTEN or 127.0.0.1:8080)",
    )
    command.add_argument(
        "--public-url",
        metavar="URL",
        help="the service's address in statements (default: $CUSTODY_PUBLIC_URL, else from --listen)",
    )


def add_supervised(command: argparse.ArgumentParser) -> None:
    """Add the flag with which `serve` starts its children."""
    command.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings of this call: flags win over the environment."""
    if getattr(args, "supervised", False):
        stop_with_parent()
    flags = {name: getattr(args, name, None) for name in ("data", "listen", "public_url")}
    try:
        return Settings.model_validate(
            {**_environment(), **{k: v for k, v in flags.items() if v is not None}}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        print(f"custody-server: {name}: {first['msg']}", file=sys.stderr)
        raise SystemExit(2) from error


def _environment() -> dict[str, object]:
    # BaseSettings reads the environment only when called without arguments, so ask it for its view.
    return Settings(_env_parse_none_str="").model_dump(exclude_unset=True)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a child process finds exactly these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    given = settings.model_dump(mode="json", exclude_none=True, exclude={"allowed_hosts"})
    kept |= {f"CUSTODY_{name.upper()}": str(value) for name, value in given.items()}
    for name in ("s3_secret_key", "second_s3_secret_key"):
        secret: SecretStr | None = getattr(settings, name)
        if secret is not None:  # a dump shows only stars
            kept[f"CUSTODY_{name.upper()}"] = secret.get_secret_value()
    if settings.allowed_hosts:
        import json

        kept["CUSTODY_ALLOWED_HOSTS"] = json.dumps(list(settings.allowed_hosts))
    return kept
