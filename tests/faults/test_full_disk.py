"""A disk that is full: it is told, and nothing is acknowledged that is not there (ENOSPC)."""

from __future__ import annotations

import pytest

from tests.faults.operations import OPERATIONS
from tests.faults.sweeps import ENDED, REFUSED, Nursery, judged, require_traced

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_at_any_durable_call_is_told_or_ends_the_process(
    nursery: Nursery, operation: str
) -> None:
    ends = judged(nursery.sweep(operation, "ENOSPC"), "ENOSPC")
    print(f"{operation}: {dict(ends)}")
    assert ends[ENDED] >= 2
    assert ends[REFUSED] >= 4
    require_traced(nursery)
