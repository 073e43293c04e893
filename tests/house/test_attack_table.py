"""The table of attacks in docs/reliability.md is what the files of attacks say."""

from __future__ import annotations

import re

from tests import tables
from tests.attacks.__main__ import COMMAND, FROM, files, table
from tests.house.tree import read


def test_every_file_of_attacks_says_what_the_attacker_controls() -> None:
    assert {path.stem for path in files()} == set(FROM)


def test_what_attackers_control_has_a_row_in_the_threat_model() -> None:
    rows = set(re.findall(r"^\| ([^|]+?) \|", read("docs/threat-model.md"), re.MULTILINE))
    assert {part for parts in FROM.values() for part in parts} - rows == set()


def test_the_table_of_attacks_is_current() -> None:
    assert tables.standing(COMMAND) == table(), f"run {COMMAND}"
