"""Forty secrets, written in pieces by the command, reach neither the stored log nor the record."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from custody.capture.environment import secret_values
from custody.service import Service
from custody.transport import Transport
from tests.client.conftest import Command
from tests.client.workbench import recorded

pytestmark = pytest.mark.slow

NAMES = (
    *(
        "GITHUB_TOKEN",
        "API_SECRET",
        "DB_PASSWORD",
        "MYSQL_PWD",
        "DB_PASS",
        "SIGNING_KEY",
        "GH_PAT",
        "SESSION_COOKIE",
    ),
    *(
        "APP_JWT",
        "SENTRY_DSN",
        "SLACK_WEBHOOK",
        "PASSWORD_SALT",
        "VAULT_PASSPHRASE",
        "AWS_CREDENTIAL",
        "NPM_AUTH",
    ),
    *("lower_case_token", "BEARER", "DEPLOY_PRIVATE", "OPS_PW", "FTP_PASSWD"),
)
# A program that writes what it is told in pieces: [descriptor, text] each, with pauses between them.
WRITER = """
import json, os, sys, time
for descriptor, text in json.load(open(sys.argv[1])):
    os.write(descriptor, text.encode("utf-8", "surrogateescape"))
    time.sleep(0.002)
"""


def planted() -> dict[str, str]:
    """Return variables whose values, or parts of them, are secrets; no two look alike."""
    found = {name: f"{name.lower()[:4]}-v4lue-{number:03d}" for number, name in enumerate(NAMES)}
    for number in range(10):
        found[f"SERVICE_{number}_URL"] = f"postgres://app{number}:pw-in-url-{number:03d}@db.example.com/x"
    for number in range(5):
        found[f"MULTI_{number}_SECRET"] = f"first-line-{number:03d}\nsecond-line-{number:03d}\n"
    found["QUOTED_TOKEN"] = 'it\'s/ä&"quoted"+secret'
    found["SPACED_TOKEN"] = "  spaced-secret-value  "
    found["PLAIN_SETTING"] = "ghp_" + "a1B2" * 9
    found["LONG_SECRET"] = "long-" + "x9Y8" * 1500
    found["OTHER_SETTING"] = "glpat-" + "z" * 20
    return found


def traces(environ: dict[str, str]) -> list[bytes]:
    """Return what must not be found: every line of every secret."""
    secrets = [value for name, value in environ.items() if "URL" not in name]
    secrets += [f"pw-in-url-{number:03d}" for number in range(10)]
    lines = [line.strip() for secret in secrets for line in secret.splitlines()]
    encoded = [base64.b64encode(line.encode()).rstrip(b"=")[:-2] for line in lines]
    return [*(line.encode() for line in lines), *encoded, *(quote(line, safe="").encode() for line in lines)]


def script(environ: dict[str, str]) -> list[tuple[int, str]]:
    """Return the writes: each secret cut in three, the other stream talking between whole lines."""
    writes: list[tuple[int, str]] = []
    secrets = [value for name, value in environ.items() if "URL" not in name]
    secrets += [f"pw-in-url-{number:03d}" for number in range(10)]
    for number, secret in enumerate(secrets):
        own, other = (1, 2) if number % 2 else (2, 1)
        third = max(1, len(secret) // 3)
        writes += [(own, f"begin {number} "), (own, secret[:third]), (other, f"chatter {number}\n")]
        writes += [
            (own, secret[third : 2 * third]),
            (other, "more\n"),
            (own, secret[2 * third :]),
            (own, " end\n"),
        ]
        encoded = base64.b64encode(secret.strip().encode()).decode()
        for form in (quote(secret.strip(), safe=""), json.dumps(secret)[1:-1], encoded):
            writes += [(own, form[:5]), (own, form[5:]), (own, "\n")]
    # One after the other without an end of line, and the last without any.
    writes += [(1, piece) for secret in secrets for piece in (secret[:4], secret[4:], ",")]
    return [*writes, (1, "\n"), (2, secrets[0][:5]), (2, secrets[0][5:])]


def test_forty_planted_secrets_split_across_writes_are_in_nothing_that_is_stored(
    custody: Command, place: Path
) -> None:
    environ = planted()
    assert len(environ) == 40
    place.parent.joinpath("writes.json").write_text(json.dumps(script(environ)))
    place.parent.joinpath("writer.py").write_text(WRITER)
    command = ["python3", "../writer.py", "../writes.json", environ["API_SECRET"]]
    options = [f"--param=p{number}={environ[name]}" for number, name in enumerate(("DB_PASS", "SENTRY_DSN"))]
    done = custody("run", "--json", *options, "--", *command, **environ)
    assert done.returncode == 0, done.stderr
    found = recorded(done)
    with Service(Transport(custody.settings["CUSTODY_URL"], custody.settings["CUSTODY_TOKEN"])) as project:
        with project.blob(found["log"]["digest"]) as response:
            log = response.read()
        record = project.attestation(found["attestations"][0]["digest"])
    statement = base64.b64decode(json.loads(record)["dsseEnvelope"]["payload"])
    # What was no secret is all there, so the log was not simply dropped.
    assert log.count(b"chatter") == log.count(b"begin") == 40
    assert log.count(b"***") >= 40
    for trace in traces(environ):
        assert trace not in log, trace
        assert trace not in statement, trace


def test_the_command_itself_still_shows_them(custody: Command, place: Path) -> None:
    done = custody("run", "--", "sh", "-c", "echo $MY_TOKEN", MY_TOKEN="shown-to-the-terminal")
    assert done.stdout == "shown-to-the-terminal\n"


def test_names_and_places_that_are_no_secrets_stay() -> None:
    plain = {
        "PWD": "/work/place",
        "OLDPWD": "/work/other",
        "PATH": "/usr/bin",
        "HOME_URL": "https://example.com/a",
    }
    assert secret_values(plain) == ()


def test_a_password_in_a_url_is_a_secret_by_itself_also_quoted() -> None:
    found = secret_values({"X": "amqp://user:p%40ssw0rd@host/"})
    assert set(found) == {"user:p%40ssw0rd", "p%40ssw0rd", "p@ssw0rd"}
