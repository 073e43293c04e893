"""Every harness runs for a moment in every test run, always with the same mutations."""

from __future__ import annotations

import pytest

from tests.fuzz import mutation
from tests.fuzz.harnesses import DOCUMENTED, HARNESSES, Harness
from tests.fuzz.run import main


@pytest.mark.parametrize("name", sorted(HARNESSES))
def test_no_mutation_brings_out_an_undocumented_error(name: str) -> None:
    assert mutation.run(HARNESSES[name], seconds=1, seed=20261122) > 100


@pytest.mark.parametrize("name", sorted(HARNESSES))
def test_some_seed_is_accepted_so_that_mutations_reach_deep(name: str) -> None:
    harness = HARNESSES[name]
    accepted = 0
    for seed in harness.seeds():
        try:
            harness.fuzz_one(seed)
        except DOCUMENTED:
            continue
        accepted += 1
    assert accepted


def test_an_undocumented_error_is_a_finding_with_its_input() -> None:
    def fails(data: bytes) -> None:
        if b"{" not in data:
            raise KeyError("undocumented")

    with pytest.raises(mutation.Finding) as caught:
        mutation.run(Harness("strict_json", fails), seconds=30, seed=1)
    assert b"{" not in caught.value.data


def test_the_command_says_what_it_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digest", "--seconds", "0", "--seed", "7"]) == 0
    assert "nothing found (seed 7)" in capsys.readouterr().out
