"""Forty planted secrets, and none comes out again."""

import base64
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.capture.arguments import redact_arguments
from custody.capture.environment import child_environment, recorded_environment, secret_values
from custody.capture.redaction import Redactor
from custody.capture.shapes import LONGEST

DICE = random.Random(20)


def letters(count: int, alphabet: str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") -> str:
    return "".join(DICE.choice(alphabet) for _ in range(count))


def private_key() -> str:
    body = base64.encodebytes(DICE.randbytes(900)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# Secrets with a shape of their own, found wherever they stand.
SHAPED = [
    "ghp_" + letters(36), "gho_" + letters(36), "ghs_" + letters(36), "github_pat_" + letters(82),
    "glpat-" + letters(20), "AKIA" + letters(16, UPPER), "ASIA" + letters(16, UPPER),
    "xoxb-" + letters(40), "sk_live_" + letters(24), "sk-" + letters(48), "npm_" + letters(36),
    "pypi-" + letters(120), "AIza" + letters(35), "ya29." + letters(60), "hvs." + letters(60), "hf_" + letters(34),
    "dckr_pat_" + letters(27), "eyJ" + letters(30) + ".eyJ" + letters(80) + "." + letters(43), private_key(),
    "SG." + letters(22) + "." + letters(43),
]  # fmt: skip
# Secrets known by the variable that holds them.
NAMED = {f"{name}": letters(18) for name in (
    "DB_PASSWORD", "MY_TOKEN", "SECRET_SAUCE", "API_KEY", "AWS_SECRET_ACCESS_KEY", "SSH_PASSPHRASE", "X_CREDENTIALS",
    "ROOT_PASSWD", "STRIPE_KEY", "npm_config_token",
)}  # fmt: skip
# Secrets known by the option they are given to.
OPTIONS = [
    ["--password={}"], ["--token", "{}"], ["--db-password", "{}"], ["-H", "Authorization: Bearer {}"],
    ["https://ci:{}@git.example.org/a.git"], ["--build-arg", "API_KEY={}"], ["-Dsonar.token={}"],
    ["sh", "-c", "curl -H 'PRIVATE-TOKEN: {}' https://example.org"], ["-DdbPassword={}"],
    ["bash", "-c", "mysql --password {} db && DEPLOY_KEY={} ./x"],
]  # fmt: skip


def test_forty_planted_secrets_leave_no_trace() -> None:
    planted = [*SHAPED, *NAMED.values()]
    options = [(form, letters(16)) for form in OPTIONS]
    planted += [secret for _, secret in options]
    assert len(planted) == 40
    command = ["make", "dist", *SHAPED, *NAMED.values()]
    command += [part.replace("{}", secret) for form, secret in options for part in form]
    environ = NAMED | {"LANG": "C.UTF-8", "CFLAGS": f"-DX={SHAPED[0]}", "CI": SHAPED[5], "BUILD_URL": "x"}
    log = "\n".join(f"step {secret}: done {secret}" for secret in planted[:30]).encode()
    recorded = recorded_environment(environ, [*NAMED, "CFLAGS"])
    redactor = Redactor(secret_values(environ))
    captured = b"".join(redactor.feed(log[at : at + 7]) for at in range(0, len(log), 7)) + redactor.flush()
    everything = json.dumps(redact_arguments(command, secret_values(environ)))
    everything += json.dumps([recorded.values, recorded.refused]) + captured.decode()
    for secret in planted:
        for line in secret.splitlines():
            assert line.startswith("-----") or line not in everything, secret
    assert captured.count(b"step ") == 30
    assert recorded.values["LANG"] == "C.UTF-8"


@pytest.mark.parametrize(
    ("given_", "left"),
    [
        (["--password=hunter2"], ["--password=***"]),
        (["--token", "abcd", "next"], ["--token", "***", "next"]),
        (["--token-file", "/run/t"], ["--token-file", "/run/t"]),
        (["--tokenizer=bert", "--keyboard", "us"], ["--tokenizer=bert", "--keyboard", "us"]),
        (["verify", "--key", "root.pem"], ["verify", "--key", "root.pem"]),
        (["mkdir", "-p", "build"], ["mkdir", "-p", "build"]),
        (["sshpass", "-p", "pw"], ["sshpass", "-p", "***"]),
        (["mysql", "-psecret", "-u", "root"], ["mysql", "-p***", "-u", "root"]),
        (["docker", "login", "-u", "me", "-p", "pw"], ["docker", "login", "-u", "me", "-p", "***"]),
        (["docker", "run", "-p", "80:80"], ["docker", "run", "-p", "80:80"]),
        (["curl", "-u", "me:pw", "https://x"], ["curl", "-u", "me:***", "https://x"]),
        (["git", "clone", "https://u:p@h/x"], ["git", "clone", "https://***@h/x"]),
        (["git", "clone", "ssh://git@h/x"], ["git", "clone", "ssh://git@h/x"]),
        (["-H", "Authorization: Basic dTpw"], ["-H", "Authorization: ***"]),
        (["-H", "bearer x"], ["-H", "bearer ***"]),
        (["helm", "--set", "a=1,db.password=x"], ["helm", "--set", "a=1,db.password=***"]),
        (["echo", "the token is expired"], ["echo", "the token is expired"]),
        (["make", "dist", "-j4", "CC=gcc"], ["make", "dist", "-j4", "CC=gcc"]),
        ([], []),
    ],
)
def test_arguments_lose_their_secrets_and_nothing_else(given_: list[str], left: list[str]) -> None:
    assert redact_arguments(given_) == left


def test_a_value_the_shell_put_in_is_found_by_the_variable_it_came_from() -> None:
    secrets = secret_values({"MY_TOKEN": "plainword", "KEY": "abc"})
    assert secrets == ("plainword",)
    assert redact_arguments(["x", "--flag=plainword!"], secrets) == ["x", "--flag=***!"]


def test_arguments_that_are_no_unicode_stay_as_they_are() -> None:
    assert redact_arguments(["cat", "a\udcff\n"]) == ["cat", "a\udcff\n"]


@settings(deadline=None, max_examples=60)
@given(
    cuts=st.lists(st.integers(1, 30_000), max_size=12),
    before=st.integers(0, 60_000),
    secret=st.sampled_from([*SHAPED, "s3cr3t value", "two lines\nof a secret"]),
)
def test_no_cut_of_the_stream_lets_a_secret_through(cuts: list[int], before: int, secret: str) -> None:
    content = b"." * before + b" " + secret.encode() + b" " + b"," * 30_000
    redactor = Redactor(["s3cr3t value", "two lines\nof a secret"])
    written, at = b"", 0
    for cut in cuts:
        written += redactor.feed(content[at : at + cut])
        at += cut
    written += redactor.feed(content[at:]) + redactor.flush()
    assert written == b"." * before + b" *** " + b"," * 30_000


def test_a_stream_fed_byte_by_byte_equals_one_fed_at_once() -> None:
    content = (b"x" * 50 + b" ghp_" + b"a1" * 18 + b" \xff\xfe\n") * 900
    redactor = Redactor()
    pieces = [redactor.feed(content[at : at + 97]) for at in range(0, len(content), 97)]
    assert b"".join(pieces) + redactor.flush() == Redactor().redact(content)
    assert b"ghp_" not in b"".join(pieces)


def test_a_secret_that_runs_into_another_is_lost_whole() -> None:
    redactor = Redactor(["abcdefghij"])
    content = b"-" * (LONGEST + 10) + b"abcdefghij" * (LONGEST // 5) + b"-" * LONGEST
    written = (
        b"".join(redactor.feed(content[at : at + 999]) for at in range(0, len(content), 999))
        + redactor.flush()
    )
    assert set(written) == {ord("-"), ord("*")}


def test_memory_stays_bounded_however_long_the_secret_runs() -> None:
    redactor = Redactor(["abcdefghij"])
    for _ in range(200):
        redactor.feed(b"abcdefghij" * 400)
        assert len(redactor._kept) < 6 * LONGEST


def test_a_plain_log_passes_unchanged_and_quickly() -> None:
    line = b"2026-11-22 10:00:00 INFO compiled src/module_0042.c in 0.13 s (cache miss)\n"
    content = line * 100_000
    redactor = Redactor([f"secret-value-{n}" for n in range(10)])
    started = time.process_time()
    written = b"".join(redactor.feed(content[at : at + 65536]) for at in range(0, len(content), 65536))
    assert written + redactor.flush() == content
    assert time.process_time() - started < 2


def test_only_allowed_variables_are_recorded_and_bad_ones_refused_by_name() -> None:
    environ = {
        "LANG": "C", "HOME": "/root", "MY_FLAG": "on", "MY_TOKEN": "abcdefgh", "URL": "https://u:p@h/",
        "CUSTODY_TOKEN": "t", "CI": "a\nb", "LONG": "x" * 5000, "TEXT": "ok",
    }  # fmt: skip
    recorded = recorded_environment(
        environ, ["MY_FLAG", "MY_TOKEN", "URL", "CUSTODY_TOKEN", "LONG", "ABSENT"]
    )
    assert recorded.values == {"LANG": "C", "MY_FLAG": "on"}
    assert set(recorded.refused) == {"MY_TOKEN", "URL", "CUSTODY_TOKEN", "CI", "LONG"}
    assert "abcdefgh" not in str(recorded.refused)


def test_the_command_gets_none_of_our_variables() -> None:
    environ = {"CUSTODY_URL": "u", "CUSTODY_TOKEN": "t", "custody_x": "y", "PATH": "/bin", "MYCUSTODY_X": "z"}
    assert child_environment(environ) == {"PATH": "/bin", "MYCUSTODY_X": "z"}
    assert "CUSTODY_TOKEN" in environ
