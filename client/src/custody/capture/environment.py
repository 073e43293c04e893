"""Which environment variables a record may show, and which the command never gets to see."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from custody.capture.shapes import find_spans, looks_secret

MAX_VALUE = 4096

# An allow-list, because nobody can list all names of secrets.
HARMLESS = frozenset(
    (
        *("CI", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SOURCE_DATE_EPOCH", "PYTHONHASHSEED"),
        *("CC", "CXX", "AR", "LD", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "RUSTFLAGS"),
        *("GOOS", "GOARCH", "GOFLAGS", "CGO_ENABLED", "GOTOOLCHAIN", "NODE_ENV", "JAVA_HOME"),
        *("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTHONOPTIMIZE", "DEB_BUILD_OPTIONS"),
        *("GITHUB_ACTOR", "GITHUB_EVENT_NAME", "GITHUB_JOB", "GITHUB_REF", "GITHUB_REPOSITORY"),
        *("GITHUB_REPOSITORY_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_RUN_ID", "GITHUB_SHA", "GITHUB_WORKFLOW"),
        *("GITHUB_WORKFLOW_REF", "RUNNER_ARCH", "RUNNER_OS"),
        *("CI_COMMIT_REF_NAME", "CI_COMMIT_SHA", "CI_JOB_ID", "CI_JOB_NAME", "CI_PIPELINE_ID"),
        *("CI_PIPELINE_SOURCE", "CI_PROJECT_ID", "CI_PROJECT_PATH"),
        *("BUILD_NUMBER", "JOB_NAME", "GIT_BRANCH", "GIT_COMMIT"),
        *("BUILDKITE_BRANCH", "BUILDKITE_BUILD_ID", "BUILDKITE_COMMIT", "BUILDKITE_PIPELINE_SLUG"),
        *("TEKTON_NAMESPACE", "TEKTON_PIPELINE_RUN", "TEKTON_TASK_RUN"),
    )
)
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|KEY|CREDENTIAL|AUTH|COOKIE|JWT|BEARER|WEBHOOK"
    r"|(?:^|_)(?:PASS|PAT|PW|DSN|SALT|PRIVATE)(?:_|$)|_PWD$",
    re.IGNORECASE,
)
_OURS = "CUSTODY_"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The values that go into the record, and the asked-for names that do not, with the reason."""

    values: dict[str, str]
    refused: dict[str, str]


def recorded_environment(environ: Mapping[str, str], extra: Iterable[str] = ()) -> Recorded:
    """Pick what a record may show of `environ`.

    Args:
        environ: The variables of this process.
        extra: Names that the user asked for (`--env NAME`). One that is named like a
            secret, or ours, is refused; so is any value that looks like one.
    """
    asked = frozenset(extra)
    values: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in sorted((HARMLESS | asked) & environ.keys()):
        reason = _refusal(name, environ[name])
        if reason is None:
            values[name] = environ[name]
        else:
            refused[name] = reason
    return Recorded(values, refused)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` as the command gets it: without our address, token and settings."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(_OURS)}


def secret_values(environ: Mapping[str, str], *, shortest: int = 6) -> tuple[str, ...]:
    """Return the values of variables that are named like secrets, and secrets in other values, longest first.

    Values of the harmless names are left out: replacing a commit id in every log
    because a variable is called KEY would hide more than it protects.
    """
    named = (value for name, value in environ.items() if _SECRET_NAME.search(name) and name not in HARMLESS)
    inside = (part for value in environ.values() for part in _inside(value))
    found = {value for value in (*named, *inside) if len(value.strip()) >= shortest}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def _inside(value: str) -> Iterator[str]:
    """Yield what looks like a secret in `value`; of a name and password in a URL also the password alone."""
    content = value.encode("utf-8", "surrogateescape")
    for start, end in find_spans(content):
        secret = content[start:end].decode("utf-8", "surrogateescape")
        yield secret
        _, colon, password = secret.partition(":")
        if colon and content[:start].endswith(b"://"):
            yield password
            yield unquote(password, errors="surrogateescape")


def _refusal(name: str, value: str) -> str | None:
    if name.upper().startswith(_OURS):
        return "is Custody's own"
    if name not in HARMLESS and _SECRET_NAME.search(name):
        return "is named like a secret"
    if looks_secret(value):
        return "its value looks like a secret"
    if len(value) > MAX_VALUE:
        return f"is longer than {MAX_VALUE} characters"
    return None if value.isprintable() else "is not printable text"
