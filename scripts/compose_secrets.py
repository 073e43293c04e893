"""Make the secrets of docker-compose.yml, once: passwords in `.env`, credentials of the bucket in `.secrets/`.

    python3 -m scripts.compose_secrets

Needs nothing but Python 3.11. What is there already is left alone: a second run changes nothing.
"""

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from artifacts.storage.rights import RIGHTS, policy

BUCKET = "custody"
OPERATOR = "operator"
_HEAD = (
    "# Secrets of docker-compose.yml, made by scripts/compose_secrets.py. Keep a copy; commit it nowhere.\n"
)


def variables() -> dict[str, str]:
    """Give every variable that docker-compose.yml asks for, with a fresh value."""
    made = {"POSTGRES_OWNER_PASSWORD": secrets.token_hex(24)}
    for process in RIGHTS:
        made[f"POSTGRES_{process.upper()}_PASSWORD"] = secrets.token_hex(24)
    for who in (OPERATOR, *RIGHTS):
        made[f"S3_{who.upper()}_ACCESS_KEY"] = secrets.token_hex(10).upper()
        made[f"S3_{who.upper()}_SECRET_KEY"] = secrets.token_hex(24)
    return made


def identities(made: dict[str, str]) -> dict[str, Any]:
    """Give SeaweedFS's configuration: one identity for each process, held to its policy."""
    processes = [
        {**_identity(name, made), "actions": [], "policyNames": [f"custody-{name}"]} for name in RIGHTS
    ]
    policies = [
        {"name": f"custody-{name}", "content": json.dumps(policy(name, BUCKET), separators=(",", ":"))}
        for name in RIGHTS
    ]
    return {
        "identities": [{**_identity(OPERATOR, made), "actions": ["Admin"]}, *processes],
        "policies": policies,
    }


def _identity(name: str, made: dict[str, str]) -> dict[str, Any]:
    keys = {
        "accessKey": made[f"S3_{name.upper()}_ACCESS_KEY"],
        "secretKey": made[f"S3_{name.upper()}_SECRET_KEY"],
    }
    return {"name": name, "credentials": [keys]}


def main() -> int:
    """Write both files into a folder; 1 where one is there and the other is not."""
    parser = argparse.ArgumentParser(description="Make the secrets of docker-compose.yml")
    parser.add_argument("--into", type=Path, default=Path(), help="the folder of docker-compose.yml")
    folder = parser.parse_args().into
    environment, configuration = folder / ".env", folder / ".secrets" / "seaweedfs.json"
    there = [path for path in (environment, configuration) if path.exists()]
    if len(there) == 2:
        sys.stdout.write("the secrets are there already; nothing was changed\n")
        return 0
    if there:
        sys.stderr.write(f"{there[0]} is there and its other half is not; move it away first\n")
        return 1
    made = variables()
    configuration.parent.mkdir(mode=0o700, exist_ok=True)
    # The account of the container reads it; the folder keeps everybody else on this machine out.
    _write(configuration, json.dumps(identities(made), indent=2) + "\n", mode=0o644)
    _write(environment, _HEAD + "".join(f"{name}={value}\n" for name, value in made.items()), mode=0o600)
    sys.stdout.write(f"wrote {environment} and {configuration}\n")
    return 0


def _write(path: Path, text: str, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text)


if __name__ == "__main__":
    sys.exit(main())
