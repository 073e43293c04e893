"""`python -m tests.faults_s3`: the table of faults for docs/reliability.md."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from tests.fakes.s3.faults import Fault
from tests.faults_s3.test_faults import PLACES, outcomes

_ORDER = ("done", "unavailable", "corrupted", "not found")


async def table() -> None:
    """Run everything and print a line for each fault."""
    seen: dict[tuple[Fault, int], Counter[str]] = {
        (fault, n): Counter() for fault in Fault for n in (1, 1000)
    }
    for times in (1, 1000):
        for name, request in PLACES:
            print(f"{name}: {request}, {'once' if times == 1 else 'always'}", file=sys.stderr)
            for fault, outcome in (await outcomes(name, request, times=times)).items():
                seen[fault, times][outcome] += 1
    print("| fault | places | once: done after a retry | refused | always: done all the same | refused |")
    print("|---|---|---|---|---|---|")
    for fault in Fault:
        once, always = seen[fault, 1], seen[fault, 1000]
        cells = [
            f"{counted['done']} | {counted.total() - counted['done']}{_how(counted)}"
            for counted in (once, always)
        ]
        print(f"| {fault.value} | {once.total()} | {cells[0]} | {cells[1]} |")


def _how(counted: Counter[str]) -> str:
    refused = [f"{counted[name]} {name}" for name in _ORDER[1:] if counted[name]]
    return f" ({', '.join(refused)})" if refused else ""


if __name__ == "__main__":
    asyncio.run(table())
