"""A disk that fails or fills up: nothing is acknowledged that is not there (fsyncgate, ENOSPC)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from artifacts.storage.durable import EXIT_IO_ERROR
from tests.faults.injection import operate, traces
from tests.faults.invariants import assert_sound


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["put", "finish", "attest"])
def test_a_failed_fsync_ends_the_process_before_anything_is_acknowledged(
    prepared: Path, tmp_path: Path, operation: str
) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        shutil.copytree(prepared, folder)
        told = operate(folder, operation, call="fsync", number=number, fault="EIO")
        assert told.status == EXIT_IO_ERROR, told
        assert "fsync failed" in told.errors
        assert not told.acked
        asyncio.run(assert_sound(folder, operation, acked=False))


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["put", "finish", "attest"])
@pytest.mark.parametrize("call", ["write", "linkat"])
def test_a_full_disk_is_told_and_nothing_is_kept(
    prepared: Path, tmp_path: Path, operation: str, call: str
) -> None:
    folder = tmp_path / "full"
    shutil.copytree(prepared, folder)
    told = operate(folder, operation, call=call, number=1, fault="ENOSPC")
    assert told.status == 0, told
    assert "refused unavailable" in told.said, told
    asyncio.run(assert_sound(folder, operation, acked=False))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_an_index_that_cannot_be_written_acknowledges_nothing(
    prepared: Path, tmp_path: Path, fault: str
) -> None:
    # SQLite makes its calls itself: without ptrace the store's own stand in for them.
    call = "pwrite64" if traces() else "linkat"
    for number in (1, 3) if traces() else (1,):
        folder = tmp_path / str(number)
        shutil.copytree(prepared, folder)
        told = operate(folder, "put", call=call, number=number, fault=fault)
        assert not told.acked, told
        assert "refused unavailable" in told.said, told
        asyncio.run(assert_sound(folder, "put", acked=False))
