"""Damaged blobs are never served as right, all found, and all mended: the programme, made small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tables
from tests.corruption.__main__ import COMMAND, shortfalls
from tests.corruption.places import in_a_bucket, in_a_folder
from tests.corruption.trial import SHARES, Trial


async def tried(trial: Trial) -> None:
    """Run `trial`; every kind of damage has come, and nothing was wrong, missed or left."""
    outcomes = await trial.run()
    assert shortfalls(trial, outcomes) == []
    assert {way: one.objects for way, one in outcomes.items()} == {
        way: trial.blobs // share * (2 if way == "two swapped" else 1) for way, share in SHARES.items()
    }


async def test_no_damaged_blob_of_a_folder_is_served_missed_or_left(tmp_path: Path) -> None:
    async with in_a_folder(tmp_path, blobs=600) as trial:
        await tried(trial)


async def test_no_damaged_blob_of_a_bucket_is_served_missed_or_left(tmp_path: Path) -> None:
    async with in_a_bucket(tmp_path, blobs=200) as trial:
        await tried(trial)


async def test_a_trial_notices_what_goes_wrong(tmp_path: Path) -> None:
    """A service whose copies are damaged too does not pass."""
    async with in_a_folder(tmp_path, blobs=100) as trial:
        copy = trial.copy

        def copy_badly() -> None:
            copy()
            for path in (tmp_path / "second").rglob("*"):
                if path.is_file():
                    path.chmod(0o600)
                    path.write_bytes(b"not what it was")

        trial.copy = copy_badly
        outcomes = await trial.run()
        assert any("one bit flipped" in said for said in shortfalls(trial, outcomes))


@pytest.mark.parametrize("way", SHARES)
def test_the_table_of_the_large_run_has_every_damage(way: str) -> None:
    assert f"| {way} |" in tables.standing(COMMAND)
