"""Settings come from flags, the environment and the home directory, never from here."""

from __future__ import annotations

from pathlib import Path

import pytest

from custody.errors import MisuseError
from custody.settings import Settings, load


def configured(home: Path, content: str, mode: int = 0o600) -> dict[str, str]:
    path = home / ".config" / "custody" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return {"HOME": str(home)}


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    environ = configured(tmp_path, 'url = "http://file"\npin = "SHA256:file"\n')
    assert load(environ) == Settings(url="http://file", pin="SHA256:file")
    environ["CUSTODY_URL"] = "http://environment"
    environ["CUSTODY_PIN"] = "SHA256:environment"
    assert load(environ) == Settings(url="http://environment", pin="SHA256:environment")
    found = load(environ, url="http://flag", pin="SHA256:flag")
    assert found == Settings(url="http://flag", pin="SHA256:flag")


def test_a_token_from_the_file_is_only_for_the_address_in_the_file(tmp_path: Path) -> None:
    environ = configured(tmp_path, 'url = "http://file"\ntoken = "secret"\n')
    assert load(environ).token == "secret"
    assert load(environ, url="http://file").token == "secret"
    assert load(environ, url="http://elsewhere").token is None
    assert load({**environ, "CUSTODY_URL": "http://elsewhere"}).token is None
    assert load({**environ, "CUSTODY_URL": "http://elsewhere", "CUSTODY_TOKEN": "own"}).token == "own"


def test_a_file_in_the_working_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = tmp_path / "repository"
    configured(hostile, 'url = "http://evil"\n')
    (hostile / "custody.toml").write_text('url = "http://evil"\n')
    (hostile / "custody").mkdir()
    (hostile / "custody" / "config.toml").write_text('url = "http://evil"\n')
    monkeypatch.chdir(hostile)
    assert load({"HOME": str(tmp_path)}) == Settings()
    for location in (".", "", ".config", "custody"):
        assert load({"HOME": str(tmp_path), "XDG_CONFIG_HOME": location}) == Settings()
        assert load({"HOME": location}) == Settings()


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    environ = configured(tmp_path, 'token = "secret"\n', 0o644)
    with pytest.raises(MisuseError, match="others may read it") as caught:
        load(environ)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("chmod 600")
    assert "secret" not in str(caught.value)


def test_a_file_without_token_may_be_readable(tmp_path: Path) -> None:
    environ = configured(tmp_path, 'url = "http://file"\n', 0o644)
    assert load(environ).url == "http://file"


@pytest.mark.parametrize("content", ['color = "red"\n', "url = 3\n", "url = \n", '\udcff = ""'])
def test_a_file_with_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    environ = configured(tmp_path, "")
    (tmp_path / ".config/custody/config.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(MisuseError):
        load(environ)


def test_without_any_address_the_hint_says_what_to_do() -> None:
    with pytest.raises(MisuseError) as caught:
        load({}).address()
    assert caught.value.hint is not None
    assert "CUSTODY_URL" in caught.value.hint
