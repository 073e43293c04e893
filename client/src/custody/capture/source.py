"""The source a step was run on: repository, commit, ref, and whether the files still are that commit's.

All of it is reported, not proven: it is read on the machine of the step.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from custody.capture.gitrunner import Git, find_top
from custody.capture.gittree import SUBMODULE, parse_tree
from custody.capture.giturl import canonical
from custody.capture.statcache import StatCache, cache_file
from custody.capture.worktree import MAX_CHANGES, Change, Worktree

MAX_SUBMODULE_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Source:
    """What was checked out.

    Attributes:
        uri: SPDX form, `git+https://host/path@refs/heads/main`; None without a remote that others could ask.
        commit: The commit id; None in a repository without one.
        ref: The full name of the branch; None when HEAD is detached.
        algorithm: Of the ids, sha1 or sha256.
        dirty: Whether any file is not the commit's; true where that could not be found out.
        changes: The first thousand differences, by kind and name.
        omitted: How many more there are.
    """

    uri: str | None
    commit: str | None
    ref: str | None
    algorithm: str
    dirty: bool
    changes: tuple[Change, ...] = ()
    omitted: int = 0

    def descriptor(self) -> dict[str, object] | None:
        """Return the in-toto ResourceDescriptor of the commit, or None without one."""
        if self.commit is None:
            return None
        digest = {"digest": {"gitCommit": self.commit}, "annotations": {"dirty": self.dirty}}
        return {"uri": self.uri, **digest} if self.uri else {**digest}


def find_source(
    directory: str | os.PathLike[str],
    environ: Mapping[str, str],
    *,
    persistent: bool = False,
) -> Source | None:
    """Find out what `directory` is a checkout of.

    Args:
        directory: Anywhere in the work tree.
        environ: For PATH, HOME and where the cache lies.
        persistent: Whether a stat cache is kept between runs (`statcache.wanted`).

    Returns:
        The source, or None where there is no repository that git can read. Nothing
        that is odd about a repository raises.
    """
    return _find(directory, environ, persistent, MAX_SUBMODULE_DEPTH)


def _find(
    directory: str | os.PathLike[str], environ: Mapping[str, str], persistent: bool, depth: int
) -> Source | None:
    top = find_top(directory)
    if top is None:
        return None
    git = Git(f"{top}/.git", environ)
    if git.line("rev-parse", "--git-dir") is None:
        return None
    commit = git.line("rev-parse", "--quiet", "--verify", "--end-of-options", "HEAD^{commit}")
    ref = git.line("symbolic-ref", "--quiet", "HEAD")
    uri = _address(git, ref)
    algorithm = "sha256" if commit is not None and len(commit) == 64 else "sha1"
    if commit is None:
        return Source(uri, None, ref, algorithm, dirty=True)
    changes = _changes(git, top, commit, persistent, depth)
    if changes is None:
        return Source(uri, commit, ref, algorithm, dirty=True)
    dirty = any(change.kind != "converted" for change in changes)
    kept = tuple(sorted(changes[:MAX_CHANGES], key=lambda change: (change.kind, change.name)))
    return Source(uri, commit, ref, algorithm, dirty, kept, max(0, len(changes) - MAX_CHANGES))


def _address(git: Git, ref: str | None) -> str | None:
    """Return the address of `origin`, or of the only remote."""
    answer = git.ask("config", "--local", "-z", "--get-regexp", r"^remote\..*\.url$") or b""
    urls: dict[str, str] = {}
    for item in os.fsdecode(answer).split("\0")[:-1]:
        key, _, value = item.partition("\n")
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), value)
    url = urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else None)
    return None if url is None else canonical(url, ref)


def _changes(git: Git, top: str, commit: str, persistent: bool, depth: int) -> list[Change] | None:
    """Return every difference, or None when the commit's files cannot be listed."""
    listing = git.ask("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
    entries = None if listing is None else parse_tree(listing)
    if entries is None:
        return None
    algorithm = "sha256" if len(commit) == 64 else "sha1"
    path = cache_file(top, git.environ, namespace=f"git-{algorithm}") if persistent else None
    cache = StatCache.load(path, digest_size=len(commit) // 2)
    worktree = Worktree(top, entries, algorithm, cache)
    try:
        changes = list(worktree.changes())
    except OSError:
        return None
    cache.save(worktree.seen)
    for name, entry in entries.items():
        if entry.mode == SUBMODULE:
            changes.extend(_submodule(git, f"{top}/{name}", name, entry.raw.hex(), depth))
    return changes


def _submodule(git: Git, path: str, name: str, expected: str, depth: int) -> list[Change]:
    """Compare a submodule's own checkout; one that was never checked out changes nothing."""
    if os.path.islink(path):
        return [Change(name, "modified", None, "submodule replaced by a link")]
    if not os.path.lexists(f"{path}/.git"):
        empty = not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path))
        return [] if empty else [Change(name, "modified", None, "submodule without a repository")]
    found = _find(path, git.environ, False, depth - 1) if depth > 0 else None
    if found is None or found.commit != expected:
        return [Change(name, "modified", None, "submodule at another commit")]
    return [Change(name, "modified", None, "submodule is dirty")] if found.dirty else []
