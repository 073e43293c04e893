"""When a step waits for an upload, and when it is refused for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import AwaitingBytesError, EvidenceError
from artifacts.queries.steps import StepRow
from artifacts.queries.uploads import UploadRow, UploadState
from artifacts.storage.directory import DirectoryStore
from provenance.awaited import hold_for

CONTENT = b"what was made"
STEP = StepRow(
    id="01K00000000000000000000000",
    project="default",
    run="01K00000000000000000000000",
    name="build",
    principal="token:1",
    state="sealed",
    outcome="succeeded",
    token_hash=None,
    began_at=100,
    expires_at=900,
    finished_at=200,
    begun="{}",
    finished="{}",
    record_digest=None,
)
REFUSED = UploadRow(
    "default", "01K00000000000000000000001", "token:1", Digest.of(CONTENT), 13, UploadState.REFUSED, "no", 150
)


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [replace(REFUSED, principal="token:2")],
        [replace(REFUSED, principal="token:1/01K00000000000000000000009")],
        [replace(REFUSED, principal=f"token:2/{STEP.id}")],
        [replace(REFUSED, began_at=99)],
        [replace(REFUSED, state=UploadState.OPEN)],
        [replace(REFUSED, state=UploadState.PRESENT)],
    ],
)
async def test_uploads_of_others_and_of_earlier_days_hold_nothing_up(
    tmp_path: Path, sent: list[UploadRow]
) -> None:
    await hold_for(DirectoryStore(tmp_path), sent, STEP)


@pytest.mark.parametrize("principal", ["token:1", f"token:1/{STEP.id}"])
async def test_a_wrong_upload_refuses_unless_the_right_bytes_came_later(
    tmp_path: Path, principal: str
) -> None:
    store, sent = DirectoryStore(tmp_path), [replace(REFUSED, principal=principal)]
    with pytest.raises(EvidenceError):
        await hold_for(store, sent, STEP)
    await store.put(layout.blob("default", Digest.of(CONTENT)), CONTENT)
    await hold_for(store, sent, STEP)


async def test_whoever_uploads_a_check_under_way_is_waited_for(tmp_path: Path) -> None:
    checking = replace(REFUSED, principal="token:2", state=UploadState.CHECKING)
    with pytest.raises(AwaitingBytesError):
        await hold_for(DirectoryStore(tmp_path), [REFUSED, checking], STEP)
