"""A tree becomes a git repository, with its hooks, only where that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custody.trees.errors import UnsafeTreeError
from custody.trees.escapes import escape, unescape
from custody.trees.git_names import check_git_names
from custody.trees.names import check_apart
from custody.trees.restore import Options
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import Item, fetched, folder, link, seen, shelve
from tests.client.trees.trees_at_hand import file as file_as_written


def file(path: str) -> Item:
    """A file whose path is given as it is, not as it stands in a manifest."""
    return file_as_written(escape(path.encode()))


REPOSITORIES: dict[str, list[Item]] = {
    "a hook": [file(".git/hooks/post-checkout")],
    "settings of a submodule": [file("deep/er/.git/config")],
    "a file that leads to a repository": [file(".git")],
    "a link to one": [link(".git", "elsewhere")],
    "an empty one": [folder(".git")],
    "in capitals": [file(".GIT/config")],
    "in mixed letters": [file("a/.GiT/config")],
    "by its short name": [file("git~1/config")],
    "by its short name in capitals": [file("GIT~1/config")],
    "with a character that HFS+ does not see": [file(".g\u200cit/config")],
    "with one before and one after": [file("\u200e.git\ufeff/config")],
    "with one in the short name": [file("git\u206a~1/config")],
    "with a dot that NTFS leaves out": [file(".git./config")],
    "with spaces that NTFS leaves out": [file(".git  /config")],
    "with dots and spaces": [file("a/.git. . /config")],
    "as a stream": [file(".git::$INDEX_ALLOCATION/config")],
    "as a stream of a file": [file(".git:x")],
    "far down a long tree": [*(file(f"{number:05}.gitignore") for number in range(5000)), file("z/.git/x")],
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_what_may_become_a_repository_is_refused(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, REPOSITORIES[name])
    with pytest.raises(UnsafeTreeError, match="git repository") as refused:
        fetched(shelf, tree, yard / "out")
    assert "--allow-git-names" in str(refused.value.hint)
    assert not list(yard.iterdir())
    fetched(shelf, tree, yard / "out", Options(allow_git_names=True))
    assert {unescape(item.written) for item in REPOSITORIES[name]} <= seen(yard / "out").keys()


INNOCENT = [
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".github/workflows/ci.yml",
    "a.git/HEAD",
    "git/config",
    ".git2/x",
    "..git/x",
    ". git/x",
    ".gi/t",
    "git~2/x",
    "git~10/x",
    ".git\u00e9/x",
    ":.git/x",
    "digital\u200c/x",
    "x.git",
]


@pytest.mark.parametrize("path", INNOCENT)
def test_names_that_are_merely_like_it_are_welcome(path: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file(path)])
    fetched(shelf, tree, yard / "out")
    assert path.encode() in seen(yard / "out")


def test_the_right_one_of_many_is_named() -> None:
    paths = [b"%05d/.gitignore" % number for number in range(9000)]
    paths[7000] = b"07000/\xe2\x80\x8c.git/\xff"
    with pytest.raises(UnsafeTreeError, match="07000"):
        check_git_names(paths)


@pytest.mark.parametrize("pair", [("a", "a."), ("d./x", "d/x"), ("a ", "a"), ("A. .", "a"), ("d /x", "D/X")])
def test_names_that_lose_their_end_are_not_held_apart(pair: tuple[str, str]) -> None:
    with pytest.raises(UnsafeTreeError, match="hold apart"):
        check_apart(map(os.fsencode, pair))
    check_apart([b"a.b", b"a b", b".a", b" a"])
