"""Every benchmark runs from end to end; how fast is for `make bench` to say."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from benchmarks import report, trees
from benchmarks.__main__ import NAMES
from benchmarks.results import Bar, Measured, Result, at_least, at_most
from benchmarks.rounds import Scale

QUICK = {"capture", "statements", "startup", "packing"}
# Those that start a dozen servers take minutes where all cores are busy with other tests.
PATIENT = (pytest.mark.slow, pytest.mark.timeout(900))


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured starts dozens of processes, none of which is to count its lines meanwhile."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else PATIENT) for name in NAMES]
)
def test_a_benchmark_measures_both_sides(name: str, tmp_path: Path) -> None:
    tiny = Scale(
        tmp_path,
        rounds=1,
        files=20,
        folders=5,
        commits=15,
        repeats=3,
        records=40,
        megabytes=1,
        seconds=0.2,
        connections=4,
        real=False,
    )
    results = importlib.import_module(f"benchmarks.{name}").measure(tiny)
    assert results
    for result in results:
        assert min(*result.ours.samples, *result.peer.samples, 1) > 0
        assert result.work in report.line(result)
    assert list(tmp_path.iterdir()) == []


def test_a_bar_holds_the_ratio_of_medians_or_our_own_value() -> None:
    found = Result("x", "y", Measured("a", (1, 30, 20), "ms"), Measured("b", (10, 10, 9), "ms"), "none")
    assert found.ratio == 2
    assert at_most(2).met(found)
    assert not at_most(1.9).met(found)
    assert at_least(2).met(found)
    assert not at_least(2.1).met(found)
    assert Bar(20, at_most=True, own=True).met(found)
    assert not Bar(19, at_most=True, own=True).met(found)


def test_a_missed_bar_is_said_on_the_page() -> None:
    found = Result(
        "P0", "work", Measured("a", (3.0,), "ms"), Measured("b", (1.0,), "ms"), "ext4", [at_most(2)]
    )
    written = report.page([found], command="make bench")
    assert "| P0 | work | ext4 | 1 | a: 3.00 ms (3.00 to 3.00)" in written
    assert "**missed**" in written


def test_the_same_seed_makes_the_same_tree(tmp_path: Path) -> None:
    trees.build(tmp_path / "one", files=40, folders=9)
    trees.build(tmp_path / "two", files=40, folders=9)
    one, two = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    assert len(one) == 40
