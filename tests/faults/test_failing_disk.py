"""A disk that fails: nothing is acknowledged that is not there (fsyncgate)."""

from __future__ import annotations

import pytest

from tests.faults.operations import OPERATIONS
from tests.faults.sweeps import ENDED, REFUSED, Nursery, judged, require_traced

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_of_the_disk_at_any_durable_call_is_told_or_ends_the_process(
    nursery: Nursery, operation: str
) -> None:
    ends = judged(nursery.sweep(operation, "EIO"), "EIO")
    print(f"{operation}: {dict(ends)}")
    assert ends[ENDED] >= 2
    assert ends[REFUSED] >= 4
    require_traced(nursery)


def test_without_ptrace_the_calls_of_python_fail(nursery: Nursery) -> None:
    ends = judged(nursery.sweep("put", "EIO", traced=False), "EIO")
    assert ends[ENDED] >= 2
    assert ends[REFUSED] >= 4
