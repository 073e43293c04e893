"""What only a directory can get wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.errors import CorruptedError, UnavailableError
from artifacts.layout import Key
from artifacts.storage import durable
from artifacts.storage.directory import DirectoryStore


async def test_links_in_the_store_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not an object")
    store = DirectoryStore(tmp_path / "objects")
    (tmp_path / "objects" / "planted").symlink_to(secret)
    with pytest.raises(CorruptedError):
        await store.read(Key("planted"))
    store.close()


async def test_files_of_somebody_else_are_not_listed_and_stop_nobody(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "objects")
    await store.put(Key("a/b"), b"x")
    for name in (".hidden", "a/with space", "a/b~", "a/ü", "staging/.nfs0001"):
        (tmp_path / "objects" / name).write_bytes(b"not ours")
    assert [str(one.key) async for one in store.list("")] == ["a/b"]
    assert [one async for one in store.list("staging/")] == []
    store.close()


async def test_a_folder_that_denies_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path / "objects")

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        # The system call, because root is denied nothing.
        patched.setattr(os, "open", denied)
        with pytest.raises(UnavailableError, match="refuses") as told:
            await store.put(Key("a/b"), b"x")
    assert "who owns its folder" in str(told.value.hint)
    store.close()


async def test_objects_cannot_be_written_by_others(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "objects")
    await store.put(Key("a/b"), b"x")
    assert (tmp_path / "objects").stat().st_mode & 0o077 == 0
    assert (tmp_path / "objects" / "a" / "b").stat().st_mode & 0o777 == 0o400
    store.close()


async def test_a_full_disk_is_told_as_unavailable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path / "objects")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        # The disk, not our code: the system call is what fails.
        patched.setattr(os, "write", full)
        with pytest.raises(UnavailableError, match="cannot be written"):
            await store.put(Key("a/b"), b"x")
    assert [one async for one in store.list("")] == []
    store.close()


def test_a_failed_fsync_ends_the_process_before_anything_is_acknowledged(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from artifacts.storage import durable\n"
        "def broken(descriptor): raise OSError(5, 'Input/output error')\n"
        "os.fsync = broken\n"
        "durable.sync(1)\n"
        "print('acknowledged')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == durable.EXIT_IO_ERROR
    assert ended.stdout == ""
    assert "fsync failed" in ended.stderr


def test_every_new_directory_is_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    root = os.open(tmp_path, os.O_RDONLY)
    durable.make_directories("a/b/c", dir_fd=root)
    os.close(root)
    parents = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert {path.stat().st_ino for path in parents} <= set(synced)


async def test_a_cancelled_write_never_reaches_a_file_that_took_over_its_descriptor(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "objects")
    piece = b"x" * (64 << 20)  # long enough in the hasher for what follows
    arrived = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        arrived.set()
        yield piece

    staging = asyncio.create_task(store.stage(content(), at=datetime.now(UTC), limit=1 << 40))
    await arrived.wait()
    await asyncio.sleep(0.02)
    staging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staging
    with (tmp_path / "somebody-elses").open("wb") as other:
        store.close()  # waits for its threads
        assert os.fstat(other.fileno()).st_size == 0
