"""What single processes are started with, and what is printed where only one of them lives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from api.commands import main
from api.commands.serve import _settings_of_children
from api.settings import Settings
from provenance.signers.local import LocalSigner


def test_no_two_children_of_serve_show_their_metrics_at_one_port() -> None:
    children = _settings_of_children(Settings(metrics_listen="127.0.0.1:9100"))
    assert children["signer"].metrics_listen == "127.0.0.1:9100"
    assert children["worker"].metrics_listen == "127.0.0.1:9101"
    assert {one.metrics_listen for one in _settings_of_children(Settings()).values()} == {None}


@pytest.mark.parametrize("written", ["9100", "127.0.0.1:", "127.0.0.1:0", ":9100", "host:99999"])
def test_an_address_for_metrics_has_a_host_and_a_port(written: str) -> None:
    with pytest.raises(ValidationError):
        Settings(metrics_listen=written)


def test_a_folder_has_no_bucket_to_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--bucket", "--data", str(tmp_path)]) == 4
    assert "CUSTODY_STORE_URL=s3://bucket" in capsys.readouterr().err


def test_the_folder_of_a_signer_tells_the_address_and_the_fingerprint_of_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = LocalSigner.open_or_create(tmp_path / "keys" / "local-v1.pem").public_key
    monkeypatch.setenv("CUSTODY_STORE_URL", "s3://nobody-asks-it")
    monkeypatch.setenv("CUSTODY_PUBLIC_URL", "https://custody.example.com")
    assert main(["env", "--json", "--data", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"CUSTODY_URL": "https://custody.example.com", "CUSTODY_PIN": key.keyid}


def test_a_fingerprint_is_never_taken_from_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUSTODY_STORE_URL", "s3://nobody-asks-it")
    monkeypatch.setenv("CUSTODY_PUBLIC_URL", "https://custody.example.com")
    assert main(["env", "--data", str(tmp_path)]) == 3
    assert "nothing has been served" in capsys.readouterr().err


def test_the_versions_agree() -> None:
    import tomllib

    from api.version import OLDEST_CLIENT, VERSION
    from custody import __version__
    from tests.house.tree import ROOT

    for path in ("pyproject.toml", "client/pyproject.toml"):
        assert tomllib.loads((ROOT / path).read_text())["project"]["version"] == VERSION
    assert __version__ == VERSION
    assert f"custody-server:{VERSION}" in (ROOT / "docker-compose.yml").read_text()
    assert tuple(map(int, OLDEST_CLIENT.split("."))) <= tuple(map(int, VERSION.split(".")))
