"""Nothing that can be asked brings out a 5xx, or an answer that is not as the document says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interface.running import run_both

EXAMPLES = int(os.environ.get("CUSTODY_EXAMPLES", "300"))
LEAST = 20_000 * EXAMPLES // 300
SEED = 20261122


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_requests_bring_out_no_5xx_and_nothing_undocumented(tmp_path: Path) -> None:
    runs, answered = run_both(tmp_path, examples=EXAMPLES, seed=SEED)
    print(f"{answered.total():,} requests: {dict(sorted(answered.items()))}")
    failed = [run.told for run in runs if run.status]
    # The assertion itself would show a line of it.
    print("\n\n".join(failed))
    assert failed == []
    assert [status for status in answered if status >= 500] == []
    assert answered.total() >= LEAST
    # Not everything is refused at the door.
    assert answered[200] + answered[201] + answered[202] >= LEAST // 20
