"""The command line: what is misused is said in one line, and nothing is half done."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from custody import __version__
from custody.__main__ import COMMANDS, build_parser, main

HEX = "a" * 64


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No service, no settings, an empty directory."""
    for name in ("CUSTODY_URL", "CUSTODY_TOKEN", "CUSTODY_PIN", "CUSTODY_STEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def status_of(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as left:
        return int(left.code or 0)


def test_version_and_help_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"custody {__version__}\n"
    assert status_of("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(command, "--help") == 0
    assert f"custody {command}" in capsys.readouterr().out.partition("examples:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: custody"),
        (["frobnicate"], "no such command"),
        (["--frobnicate"], "--frobnicate"),
        (["run", "make"], "the command stands after --"),
        (["run", "--"], "the command stands after --"),
        (["run", "--frob", "--", "true"], "--frob"),
        (["run", "--input", "https://example.com/x", "--", "true"], "names no digest"),
        (["run", "--input", "sha256:zz", "--", "true"], "is not a digest"),
        (["run", "--param", "x", "--", "true"], "no K=V"),
        (["run", "--env", "A=B", "--", "true"], "no name of a variable"),
        (["run", "--name", "a\nb", "--", "true"], "printable"),
        (["run", "--output", "../x", "--", "true"], "--output"),
        (["get", f"sha256:{HEX}"], "DEST"),
        (["get", f"sha256:{HEX}", "x"], "no service is configured"),
        (["verify", f"sha256:{HEX}"], "no service is configured"),
        (["verify", "sha256:zz", "--bundle", "b", "--key", "k"], "is not a digest"),
        (["verify", ".", "--bundle", "b", "--key", "k"], "is a directory"),
        (["verify", f"sha256:{HEX}", "--source", "", "--key", "k"], "not empty"),
        (["trace", f"sha256:{HEX}", "--depth", "0"], "--depth goes from"),
        (["trace", f"sha256:{HEX}", "--depth", "x"], "invalid int"),
        (["completion", "tcsh"], "tcsh"),
        (["verify", f"sha256:{HEX}", "--url", "ftp://x"], "malformed"),
    ],
)
def test_misuse_is_status_2_and_says_why(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_a_missing_input_stops_the_run_before_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("run", "--input", "nothing.csv", "--", "touch", "ran") == 1
    assert "--input nothing.csv: no such file" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_dry_run_shows_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.csv").write_text("x")
    assert (
        status_of("run", "--dry-run", "--input", "data.csv", "--", "touch", "ran", "--token", "hunter2-x")
        == 0
    )
    out = capsys.readouterr().out
    assert hashlib.sha256(b"x").hexdigest()[:16] in out
    assert "touch-ran" in out
    assert "hunter2" not in out
    assert not (tmp_path / "ran").exists()


def test_digest_prints_what_sha256sum_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    assert status_of("digest", "a", "missing", "link") == 1
    out, err = capsys.readouterr()
    assert out == f"sha256:{hashlib.sha256(b'abc').hexdigest()}  a\n"
    assert "custody: missing: no such file" in err
    assert "custody: link: is a symbolic link" in err


def test_names_of_files_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "\x1b]0;evil\x07\u202e").write_bytes(b"")
    assert status_of("digest", "\x1b]0;evil\x07\u202e") == 0
    assert capsys.readouterr().out.endswith("  \\x1b]0;evil\\x07\\u202e\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_know_every_command_and_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("completion", shell) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command in script
    for option in ("give-token", "bundle", "depth", "force", "uri"):
        assert option in script


def test_the_bash_completion_completes(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("completion", "bash") == 0
    script = (
        capsys.readouterr().out + "COMP_WORDS=(custody ver); COMP_CWORD=1; _custody; echo ${COMPREPLY[@]}\n"
    )
    script += "COMP_WORDS=(custody verify --bun); COMP_CWORD=2; _custody; echo ${COMPREPLY[@]}\n"
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "verify\n--bundle\n"


def test_the_whole_parser_has_every_command() -> None:
    text = build_parser().format_help()
    assert all(name in text for name in COMMANDS)
