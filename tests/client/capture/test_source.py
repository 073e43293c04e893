"""The source of a checkout, told by content; whatever was done to index and configuration."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from custody.capture.source import Source, find_source
from custody.capture.worktree import MAX_CHANGES

ENVIRON = {"PATH": os.environ["PATH"], "HOME": os.devnull}


def git(top: Path, *arguments: str) -> str:
    options = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"]
    environ = ENVIRON | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *options, *arguments], cwd=top, env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return made(tmp_path / "repo", str(request.param))


def made(top: Path, algorithm: str = "sha1") -> Path:
    (top / "src").mkdir(parents=True)
    git(top, "init", "-q", "-b", "main", f"--object-format={algorithm}")
    (top / "src/a.c").write_bytes(b"int a;\n")
    (top / "run.sh").write_bytes(b"#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("src/a.c")
    (top / ".gitignore").write_bytes(b"build/\n*.o\n")
    (top / ".env").write_bytes(b"tracked=1\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    git(top, "remote", "add", "origin", "https://me:ghp_secret@example.org/o/r.git")
    return top


def source(top: Path) -> Source:
    found = find_source(top, ENVIRON)
    assert found is not None
    return found


def told(top: Path) -> list[tuple[str, str]]:
    found = source(top)
    assert found.dirty == bool([change for change in found.changes if change.kind != "converted"])
    return [(change.name, change.kind) for change in found.changes]


def test_a_clean_checkout_is_named_and_clean(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    algorithm = "sha256" if len(commit) == 64 else "sha1"
    uri = "git+https://example.org/o/r.git@refs/heads/main"
    assert source(repository) == Source(uri, commit, "refs/heads/main", algorithm, dirty=False)
    assert source(repository / "src") == source(repository)
    assert source(repository).descriptor() == {
        "uri": uri, "digest": {"gitCommit": commit}, "annotations": {"dirty": False},
    }  # fmt: skip


def test_every_kind_of_change_is_found(repository: Path) -> None:
    (repository / "src/a.c").write_bytes(b"int b;\n")
    (repository / "run.sh").chmod(0o644)
    (repository / "link").unlink()
    (repository / "link").symlink_to("/etc/passwd")
    (repository / ".env").unlink()
    (repository / "new").write_bytes(b"new")
    (repository / "build").mkdir()
    (repository / "build/out").touch()
    (repository / "x.o").touch()
    found = source(repository)
    assert [(change.name, change.kind, change.note) for change in found.changes] == [
        (".env", "deleted", ""),
        ("link", "modified", "symlink"),
        ("run.sh", "modified", "mode"),
        ("src/a.c", "modified", ""),
        ("new", "untracked", ""),
    ]
    assert found.changes[3].digest == f"sha256:{hashlib.sha256(b'int b;' + bytes([10])).hexdigest()}"
    assert found.changes[4].digest == f"sha256:{hashlib.sha256(b'new').hexdigest()}"
    assert found.dirty


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_an_index_that_hides_a_file_hides_no_change(repository: Path, mark: str) -> None:
    git(repository, "update-index", mark, "src/a.c")
    (repository / "src/a.c").write_bytes(b"int b;\n")
    assert git(repository, "status", "--porcelain") == ""
    assert told(repository) == [("src/a.c", "modified")]


def test_a_same_size_edit_with_its_time_set_back_is_found(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    environ = ENVIRON | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    git(top, "config", "core.checkStat", "minimal")
    git(top, "config", "core.trustctime", "false")
    old = os.stat(top / "src/a.c")
    os.utime(top / "src/a.c", (old.st_atime, old.st_mtime - 100))
    git(top, "update-index", "--refresh")
    time.sleep(0.05)
    for _ in range(2):
        found = find_source(top, environ, persistent=True)
        assert found is not None
        assert not found.dirty
    assert list((tmp_path / "cache/custody/statcache").iterdir())
    with open(top / "src/a.c", "r+b") as stream:
        stream.write(b"int z;\n")
    os.utime(top / "src/a.c", (old.st_atime, old.st_mtime - 100))
    assert git(top, "status", "--porcelain") == ""
    found = find_source(top, environ, persistent=True)
    assert found is not None
    assert [change.name for change in found.changes] == ["src/a.c"]


def test_an_index_of_somebody_else_is_not_asked(repository: Path) -> None:
    (repository / ".git/index").write_bytes(b"garbage")
    assert told(repository) == []


def test_ignore_rules_outside_the_commit_hide_nothing(repository: Path) -> None:
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/exclude").write_text("*\n")
    (repository / "src/.gitignore").write_text("*\n")
    (repository / "src/evil.c").touch()
    assert git(repository, "status", "--porcelain") == ""
    assert told(repository) == [("src/.gitignore", "untracked"), ("src/evil.c", "untracked")]


def test_an_edited_ignore_file_hides_nothing(repository: Path) -> None:
    (repository / ".gitignore").write_bytes(b"*\n")
    (repository / "evil").touch()
    assert told(repository) == [(".gitignore", "modified"), ("evil", "untracked")]


def test_a_nested_ignore_file_decides_for_its_own_folder(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    (top / "src/.gitignore").write_text("!keep.o\n/gen/\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "second")
    (top / "src/gen").mkdir()
    for name in ("src/keep.o", "src/drop.o", "src/gen/x", "keep.o"):
        (top / name).touch()
    (top / "gen").touch()
    assert told(top) == [("gen", "untracked"), ("src/keep.o", "untracked")]


def test_other_line_ends_are_told_and_not_dirty(repository: Path) -> None:
    (repository / "src/a.c").write_bytes(b"int a;\r\n")
    found = source(repository)
    assert [(change.name, change.kind) for change in found.changes] == [("src/a.c", "converted")]
    assert not found.dirty


def test_no_program_that_the_repository_names_is_run(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    trap = f"touch {tmp_path}/sprung; false"
    names = (
        "core.fsmonitor",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "core.pager",
        "core.sshCommand",
    )
    for name in (
        *names,
        "core.askPass",
        "diff.external",
        "alias.ls-tree",
        "credential.helper",
        "core.editor",
    ):
        git(top, "config", name, trap)
    git(top, "config", "remote.origin.url", f"ext::sh -c '{trap}'")
    git(top, "config", "remote.origin.promisor", "true")
    git(top, "config", "extensions.partialClone", "origin")
    git(top, "config", "core.hooksPath", str(tmp_path))
    (top / ".gitattributes").write_text("* filter=x\n")
    (top / "src/a.c").write_bytes(b"other\n")
    for folder in (top / ".git/objects").iterdir():
        if len(folder.name) == 2:
            for item in folder.iterdir():
                if git(top, "cat-file", "-t", folder.name + item.name) == "tree":
                    item.unlink()
                    break
    found = find_source(top, ENVIRON)
    assert found is not None
    assert found.uri is None
    assert found.dirty
    assert not (tmp_path / "sprung").exists()


def test_a_replaced_commit_does_not_stand_in_for_another(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    first = git(top, "rev-parse", "HEAD")
    (top / "src/a.c").write_bytes(b"int b;\n")
    git(top, "commit", "-q", "-a", "-m", "second")
    second = git(top, "rev-parse", "HEAD")
    git(top, "checkout", "-q", first)
    (top / "src/a.c").write_bytes(b"int b;\n")
    git(top, "replace", first, second)
    assert told(top) == [("src/a.c", "modified")]


def test_a_work_tree_that_configuration_moves_elsewhere_is_still_this_one(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    (tmp_path / "clean").mkdir()
    git(top, "config", "core.worktree", str(tmp_path / "clean"))
    (top / "src/a.c").write_bytes(b"int b;\n")
    assert told(top) == [("src/a.c", "modified")]


def test_variables_of_git_in_the_environment_mislead_nobody(tmp_path: Path) -> None:
    top, other = made(tmp_path / "repo"), made(tmp_path / "other")
    (top / "src/a.c").write_bytes(b"int b;\n")
    environ = ENVIRON | {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": "/dev/null",
    }
    found = find_source(top, environ)
    assert found is not None
    assert found.dirty


def test_a_folder_exchanged_for_a_link_is_a_deletion(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    (top / "src").rename(tmp_path / "moved")
    (top / "src").symlink_to(tmp_path / "moved")
    assert told(top) == [("src/a.c", "deleted"), ("src", "untracked")]


def test_a_file_exchanged_for_something_else_is_modified(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    (top / "run.sh").unlink()
    os.mkfifo(top / "run.sh")
    (top / "link").unlink()
    (top / "link").write_bytes(b"src/a.c")
    assert told(top) == [("link", "modified"), ("run.sh", "modified")]


def test_names_of_any_bytes_are_compared(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    for name in (b"\xff\xfe", b"new\nline", b'quo"te', b"tab\t"):
        with open(os.fsencode(top) + b"/" + name, "wb") as stream:
            stream.write(b"1")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "names")
    assert told(top) == []
    (top / "new\nline").write_bytes(b"2")
    assert told(top) == [("new\nline", "modified")]


def test_a_repository_without_commits_or_remote_is_no_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert source(tmp_path) == Source(None, None, "refs/heads/trunk", "sha1", dirty=True)
    assert source(tmp_path).descriptor() is None


def test_a_detached_head_has_no_ref_and_no_remote_no_address(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    git(top, "checkout", "-q", "--detach")
    git(top, "remote", "rename", "origin", "upstream")
    assert source(top).uri == "git+https://example.org/o/r.git"
    assert source(top).ref is None
    git(top, "remote", "remove", "upstream")
    assert source(top).descriptor() == {
        "digest": {"gitCommit": git(top, "rev-parse", "HEAD")}, "annotations": {"dirty": False},
    }  # fmt: skip


def test_what_is_no_repository_has_no_source(tmp_path: Path) -> None:
    assert find_source(tmp_path, ENVIRON) is None
    (tmp_path / ".git").write_text("gitdir: /nonexistent\n")
    assert find_source(tmp_path, ENVIRON) is None
    assert find_source(made(tmp_path / "r"), {"PATH": "/nonexistent"}) is None


def test_a_linked_work_tree_is_compared_with_its_own_commit(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    git(top, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert told(tmp_path / "side") == []
    assert source(tmp_path / "side").ref == "refs/heads/side"


def test_a_submodule_is_compared_by_its_own_commit_and_content(tmp_path: Path) -> None:
    inner, top = made(tmp_path / "inner"), made(tmp_path / "repo")
    git(top, "submodule", "--quiet", "add", str(inner), "lib")
    git(top, "commit", "-q", "-m", "lib")
    assert told(top) == []
    (top / "lib/src/a.c").write_bytes(b"int b;\n")
    assert told(top) == [("lib", "modified")]
    git(top / "lib", "commit", "-q", "-a", "-m", "moved")
    assert source(top).changes[0].note == "submodule at another commit"
    git(top, "submodule", "--quiet", "deinit", "-f", "lib")
    assert told(top) == []


def test_thousands_of_changes_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    top = made(tmp_path / "repo")
    for number in range(MAX_CHANGES + 5):
        (top / f"n{number}").touch()
    found = source(top)
    assert (len(found.changes), found.omitted, found.dirty) == (MAX_CHANGES, 5, True)
