"""What can be said of docker-compose.yml and the Dockerfile without an engine: they agree with the code and with each other."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from api.commands import parser
from api.settings import Settings
from artifacts.storage.rights import RIGHTS
from scripts.compose_secrets import variables
from tests.containers.compose import OURS, Compose, arguments, asked, compose, dockerfile, filled
from tests.house.tree import ROOT, read

PROCESSES = ("api", "signer", "worker")


@pytest.fixture(scope="module")
def file() -> Compose:
    return compose()


def test_a_key_that_stands_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.containers.compose.read", lambda _: "name: a\nname: b\n")
    with pytest.raises(AssertionError, match="twice"):
        compose()


def test_every_container_is_bounded(file: Compose) -> None:
    for name, service in file.services.items():
        assert (service.read_only, service.init) == (True, True), name
        assert service.cap_drop == ["ALL"], name
        assert service.security_opt == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.user), name


def test_every_image_is_pinned_to_one_version(file: Compose) -> None:
    for name, service in file.services.items():
        assert re.fullmatch(r"[a-z/-]+:\d+(\.\d+)+(@sha256:[0-9a-f]{64})?", service.image), name
    (base,) = [step.rest for step in dockerfile() if step.word == "FROM"]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim(@sha256:[0-9a-f]{64})?", base)


def test_our_services_run_our_image_as_its_own_user(file: Compose) -> None:
    assert {name for name, service in file.services.items() if service.build} == set(OURS)
    (user,) = [step.rest for step in dockerfile() if step.word == "USER"]
    made = re.search(r"useradd --system --uid (\d+) .*-o (\d+) -g (\d+) ", read("Dockerfile"))
    assert made is not None
    assert {user} == {file.services[name].user for name in OURS} == {f"{made[1]}:{made[2]}"}
    assert made[1] == made[3]
    # SeaweedFS writes what the service `objects` gave to that user.
    assert file.services["seaweedfs"].user == user


def test_every_setting_that_is_given_exists(file: Compose) -> None:
    known = {f"CUSTODY_{name.upper()}" for name in Settings.model_fields}
    given = {name for service in OURS for name in file.services[service].environment}
    assert given - known == set()
    assert {"CUSTODY_DATABASE_URL", "CUSTODY_STORE_URL", "CUSTODY_METRICS_LISTEN"} <= given


def test_the_settings_are_valid_once_the_secrets_are_put_in(
    file: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = variables()
    for name in (*PROCESSES, "migrate", "operator"):
        with monkeypatch.context() as environment:
            for variable, value in file.services[name].environment.items():
                environment.setenv(variable, filled(value, made))
            settings = Settings()
        assert settings.store == "s3://custody"
        assert settings.index_url.startswith("postgresql+asyncpg://")
        # The health check asks the api under this name, whatever its public one is.
        assert name != "api" or "127.0.0.1" in settings.hosts


def test_every_command_and_flag_exists(file: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROCESSES, "migrate"):
        parsed = parser().parse_args(arguments(file.services[name]))
        assert callable(parsed.run), name
    assert arguments(file.services["operator"]) == ["--help"]
    (start,) = [json.loads(step.rest) for step in dockerfile() if step.word == "CMD"]
    assert parser().parse_args(start).listen == "0.0.0.0:8080"
    told = read("docker-compose.yml") + read("docs/operating.md")
    lines = re.findall(r"docker compose (?:run|exec) [^#`…\n]*", told)
    assert len(lines) > 3
    for line in lines:
        words = line.split()
        after = words.index("operator" if "operator" in words else "custody-server")
        assert words[after + 1 :] == [] or parser().parse_args(words[after + 1 :]).run


def test_the_variables_that_are_asked_for_are_those_that_are_made() -> None:
    assert asked(read("docker-compose.yml")) == set(variables())


def test_no_two_processes_share_a_login_or_credentials(file: Compose) -> None:
    for variable in ("CUSTODY_DATABASE_URL", "CUSTODY_S3_ACCESS_KEY", "CUSTODY_S3_SECRET_KEY"):
        given = [file.services[name].environment[variable] for name in (*PROCESSES, "operator")]
        assert len(set(given)) == len(given)
        for name in PROCESSES:
            asked_for = asked(file.services[name].environment[variable])
            assert all(f"_{name.upper()}_" in one for one in asked_for), name
    secret = {variable for variable in variables() if variable != "CUSTODY_PUBLIC_URL"}
    held = {
        name: {one for text in service.environment.values() for one in asked(text)}
        for name, service in file.services.items()
    }
    assert held["seaweedfs"] == set()
    assert {one for one in secret if "OWNER" in one or "OPERATOR" in one} & set().union(
        *(held[name] for name in PROCESSES)
    ) == set()


def test_the_volume_of_the_signing_key_is_mounted_by_the_signer_alone(file: Compose) -> None:
    assert [name for name, service in file.services.items() if "keys" in service.mounts] == ["signer"]
    assert {name for name, service in file.services.items() if "seal" in service.mounts} == {
        "api",
        "worker",
        "operator",
    }
    assert "seal:/data:ro" in file.services["worker"].volumes
    for name in PROCESSES:
        assert set(file.services[name].mounts.values()) == {file.services[name].environment["CUSTODY_DATA"]}


def test_volumes_and_networks_are_declared_and_used(file: Compose) -> None:
    mounted = {
        source
        for service in file.services.values()
        for source in service.mounts
        if not source.startswith(".")
    }
    assert mounted == set(file.volumes)
    assert {name for service in file.services.values() for name in service.networks} == set(file.networks)
    assert file.networks["inner"].internal
    assert [name for name, service in file.services.items() if "outer" in service.networks] == ["api"]
    assert file.services["seaweedfs"].mounts["objects"] == "/data"
    bound = [
        source for service in file.services.values() for source in service.mounts if source.startswith(".")
    ]
    assert [
        source for source in bound if not source.startswith("./.secrets/") and not (ROOT / source).is_file()
    ] == []


def test_folders_that_volumes_are_made_from_belong_to_our_user(file: Compose) -> None:
    (made,) = re.findall(r"install -d -o 10001 -g 10001 -m 0700 (.+)$", read("Dockerfile"), re.MULTILINE)
    targets = {target for name in OURS for target in file.services[name].mounts.values()}
    assert targets == set(made.split())


def test_only_the_api_is_published_and_only_on_this_machine(file: Compose) -> None:
    published = {name: service.ports for name, service in file.services.items() if service.ports}
    assert published == {"api": ["127.0.0.1:8080:8080"]}
    assert file.services["api"].environment["CUSTODY_LISTEN"].endswith(":8080")
    (exposed,) = [step.rest for step in dockerfile() if step.word == "EXPOSE"]
    assert exposed == "8080"


def test_everything_waits_until_what_it_needs_is_healthy_or_done(file: Compose) -> None:
    for name, service in file.services.items():
        for needed, how in service.depends_on.items():
            other = file.services[needed]
            if how.condition == "service_healthy":
                assert other.healthcheck is not None, f"{name} waits for {needed}"
            else:
                assert other.restart == "no", f"{name} waits for {needed} to end"
    assert _order(file)[-1] == "operator"
    for name in PROCESSES:
        assert {"postgres", "seaweedfs", "migrate", "logins"} <= _all_needed(file, name)


def _all_needed(file: Compose, name: str) -> set[str]:
    direct = set(file.services[name].depends_on)
    return direct.union(*(_all_needed(file, one) for one in direct))


def _order(file: Compose) -> list[str]:
    """Who starts after whom; fails where two wait for each other."""
    done: list[str] = []
    while len(done) < len(file.services):
        ready = [
            name
            for name, one in file.services.items()
            if name not in done and set(one.depends_on) <= set(done)
        ]
        assert ready, "services wait for each other"
        done += ready
    return done


def test_health_checks_ask_where_the_process_answers(file: Compose) -> None:
    for name, path in (("api", "/readyz"), ("signer", "/healthz"), ("worker", "/healthz")):
        service = file.services[name]
        assert service.healthcheck is not None
        variable = "CUSTODY_LISTEN" if name == "api" else "CUSTODY_METRICS_LISTEN"
        port = service.environment[variable].rpartition(":")[2]
        assert f"http://127.0.0.1:{port}{path}" in service.healthcheck.test[-1]
        seconds = int(service.stop_grace_period[:-1])
        # `uvicorn` waits for ten; the engine must not be faster.
        assert seconds > 10


def made_in(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.compose_secrets", "--into", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    assert made_in(tmp_path).returncode == 0
    environment, configuration = tmp_path / ".env", tmp_path / ".secrets" / "seaweedfs.json"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert stat.S_IMODE(configuration.parent.stat().st_mode) == 0o700
    before = environment.read_text(), configuration.read_text()
    again = made_in(tmp_path)
    assert (again.returncode, "nothing was changed" in again.stdout) == (0, True)
    assert (environment.read_text(), configuration.read_text()) == before
    values = dict(line.split("=", 1) for line in before[0].splitlines() if not line.startswith("#"))
    assert len(set(values.values())) == len(values)
    assert all(len(value) >= 20 for value in values.values())
    told = json.loads(before[1])
    assert [one["name"] for one in told["identities"]] == ["operator", *RIGHTS]
    assert [one["actions"] for one in told["identities"]] == [["Admin"], [], [], []]
    for one in told["identities"]:
        (keys,) = one["credentials"]
        assert keys["secretKey"] == values[f"S3_{one['name'].upper()}_SECRET_KEY"]
    environment.unlink()
    half = made_in(tmp_path)
    assert (half.returncode, "move it away" in half.stderr) == (1, True)
    assert not environment.exists()


def test_secrets_are_committed_nowhere_and_never_in_the_image() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", ".env", ".secrets/x"], cwd=ROOT, capture_output=True, check=False
    )
    assert ignored.stdout.split() == [b".env", b".secrets/x"]
    assert read(".dockerignore").splitlines()[0] == "*"


def test_the_command_of_the_image_may_be_run() -> None:
    path = ROOT / "scripts" / "container" / "custody-server"
    assert os.access(path, os.X_OK)
    assert subprocess.run(["/bin/sh", "-n", path], check=False).returncode == 0
