"""The ignore rules: git itself is the judge of the syntax."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from custody.capture.errors import CaptureError
from custody.capture.ignore import MAX_BYTES, MAX_LINES, Ignore, Rules, quick_test

FILES = (
    "a", "b", "ab", "a.b", "foo", "foo.txt", "a-b", "a]b", "[", "!x", "#x", "a b", "dir/a", "dir/ab", "dir/foo.txt",
    "dir/sub/a", "dir/sub/foo", "dir/sub/deep/ab", "foo.d/a", "x/foo/a", "x/dir/a", "x/y/dir/sub/a", "1", "a1", "Z",
)  # fmt: skip
DIRECTORIES = (
    "dir",
    "dir/sub",
    "dir/sub/deep",
    "foo.d",
    "x",
    "x/foo",
    "x/dir",
    "x/y",
    "x/y/dir",
    "x/y/dir/sub",
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("oracle")
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    for name in FILES:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return top


def git_ignores(top: Path, lines: list[str]) -> set[str]:
    (top / ".gitignore").write_bytes("\n".join(lines).encode() + b"\n")
    asked = "\0".join((*FILES, *DIRECTORIES)).encode()
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"],
        input=asked, capture_output=True, check=False, cwd=top,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.decode().split("\0")[:-1])


def we_ignore(lines: list[str]) -> set[str]:
    ignore = Ignore(lines, defaults=False)
    found = {name for name in FILES if ignore.covers(name)}
    found |= {name for name in DIRECTORIES if ignore.covers(name, is_directory=True)}
    for name in found:
        parts = name.split("/")
        assert any(ignore.may_match(part) for part in parts), f"the quick test misses {name}"
    return found


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "foo",
        "dir",
        "sub",
        "x",
        ".txt",
        ".",
        "1",
        "*",
        "**",
        "/",
        "**/",
        "/**",
        "?",
        "[a-f]",
        "[!a]",
        "[^b]",
        "[]a]",
        "[a-]",
        "[[:alpha:]]",
        "[[:digit:]x]",
        "[[:nope:]]",
        "[",
        "]",
        "\\",
        "\\a",
        "\\*",
        "\\[",
        "[\\]]",
        "[z-a]",
        "[a/b]",
        "[[:alpha]",
        "[--a]",
        " ",
        "-",
        "***",
        "[!]a]",
        "[a-c-e]",
    ]
)
LINES = st.builds(
    lambda negated, pieces, end: negated + "".join(pieces) + end,
    st.sampled_from(["", "", "", "!", "/", "#", "\\!", "\\#", "!/"]),
    st.lists(PIECES, min_size=1, max_size=6),
    st.sampled_from(["", "", "/", " ", "\\ ", "\r", "/**", "  "]),
)


# git cuts the plain text before the first wildcard off pattern and path, and so takes the
# `**/` of `a**/b` for one that stands at the beginning: there it matches `ab`, against its
# own manual ("other consecutive asterisks are considered regular asterisks"). We follow the manual.
QUIRK = re.compile(r"[!/]*[^*?\[\\]*[^*?\[\\/]\*\*+(?:/.*)?[ \r]*")


def test_stars_in_the_middle_of_a_name_are_one_star() -> None:
    ignore = Ignore(["a**/b", "c/x**y/z"], defaults=False)
    assert ignore.covers("ax/b")
    assert not ignore.covers("ab")
    assert not ignore.covers("ax/y/b")
    assert ignore.covers("c/x12y/z")
    assert not ignore.covers("c/x1/2y/z")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, min_size=1, max_size=5))
def test_every_pattern_means_what_git_says_it_means(repository: Path, lines: list[str]) -> None:
    assume(not any(QUIRK.fullmatch(line) for line in lines))
    assert we_ignore(lines) == git_ignores(repository, lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["dir/", "!dir/a"],
        ["/dir/*", "!/dir/sub", "/dir/sub/*", "!/dir/sub/a"],
        ["**/sub", "!x/**/sub/"],
        ["dir/**/ab"],
        ["**/dir/sub/**"],
        ["a**", "!ab"],
        ["*", "!*/", "!*.txt"],
        ["foo\\", "a\\ b", "a b  "],
        ["\\!x", "\\#x", "[[]"],
        ["//a", "/", "", "   "],
        ["x/**/**/a"],
        ["[!/]oo"],
        ["a[/]b", "dir?a", "dir*a"],
    ],
)
def test_a_known_difficult_list_means_what_git_says(repository: Path, lines: list[str]) -> None:
    assert we_ignore(lines) == git_ignores(repository, lines)


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", ".ENV", "server.pem", "Server.PEM", "id_rsa", "id_ed25519_work", ".netrc", ".npmrc", ".pypirc", ".git-credentials", ".aws/config", ".ssh/known_hosts", ".docker/config.json", "x.p12", "a.kdbx", "kubeconfig", "credentials.json", ".git/config", "deep/in/.env", "deep/.git/HEAD", "t.tfstate", ".config/gcloud/x.db"],
)  # fmt: skip
def test_no_file_of_the_repository_takes_a_secret_back_in(name: str) -> None:
    hostile = ["!*", "!**", f"!{name}", f"!/{name}", "!.*", "!.git", "!.ssh/"]
    assert Ignore(hostile).covers(name)


def test_the_users_own_flag_lets_secrets_in_but_never_version_control() -> None:
    allowing = Ignore(allow_secrets=True)
    assert not allowing.covers("server.pem")
    assert not allowing.covers(".env")
    assert allowing.covers(".git/config")


@pytest.mark.parametrize(
    "name", [".env.example", "id_rsa.pub", "keyboard.py", "environment", "monkey", ".gitignore"]
)
def test_what_only_resembles_a_secret_is_kept(name: str) -> None:
    assert not Ignore().covers(name)


def test_the_repository_may_take_back_what_a_tool_can_make_again() -> None:
    assert Ignore().covers("node_modules/x.js")
    assert not Ignore(["!node_modules/"]).covers("node_modules/x.js")
    assert Ignore().covers("src/__pycache__/m.cpython-311.pyc")


def test_patterns_of_a_stranger_take_no_exponential_time() -> None:
    started = time.monotonic()
    for pattern in (
        "*a" * 30 + "b",
        "**/" * 20 + "b",
        "**/a/" * 20 + "b",
        "*a*[a]" * 20 + "b",
        "a/**/" * 20 + "*b",
    ):
        assert not Ignore([pattern], defaults=False).covers("a/" * 60 + "a" * 150)
    assert time.monotonic() - started < 5


@given(
    st.text(st.characters(exclude_characters="\n"), max_size=40),
    st.text("ab/.*[]\\!é", min_size=1, max_size=20),
)
def test_any_line_is_read_without_an_error(line: str, path: str) -> None:
    assert Ignore([line], defaults=False).covers(path) in (True, False)


def test_the_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / ".custodyignore").write_bytes(b"\xef\xbb\xbf*.log\r\n!keep.log\r\n")
    ignore = Ignore.load(tmp_path)
    assert ignore.covers("a.log")
    assert not ignore.covers("keep.log")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\n", "UTF-8"), (b"a" * (MAX_BYTES + 1), "larger"), (b"a\n" * (MAX_LINES + 1), "lines")],
)
def test_an_unusable_ignore_file_is_an_error_with_its_reason(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / ".custodyignore").write_bytes(content)
    with pytest.raises(CaptureError, match=said):
        Ignore.load(tmp_path)


def test_an_ignore_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    os.symlink("/dev/zero", tmp_path / ".custodyignore")
    with pytest.raises(CaptureError, match=re.escape(".custodyignore")):
        Ignore.load(tmp_path)


@pytest.mark.parametrize("pattern", ["*.pem", "id_rsa*", "credentials", "k", "*.k"])
@given(st.data())
def test_the_quick_test_misses_no_spelling_of_a_name(pattern: str, data: st.DataObject) -> None:
    """Rules that fold case leave out `ID_RSA` too, and the Kelvin sign lowers to a plain k."""
    spelled = "".join(
        data.draw(st.sampled_from([one, one.upper(), "\u212a" if one == "k" else one]))
        for one in pattern.replace("*", data.draw(st.text("akK.\u0130", max_size=3)))
    )
    rules = Rules.parse([pattern], fold_case=True)
    if spelled and rules.decide(spelled, is_directory=False):
        assert quick_test(rules.rules)(spelled)
