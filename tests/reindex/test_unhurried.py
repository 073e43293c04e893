"""A reindex looks for circular garbage seldom, and leaves the interpreter as it was."""

from __future__ import annotations

import gc

import pytest

from provenance.reindex.unhurried import unhurried


def test_garbage_is_looked_for_less_often_until_the_end_whatever_that_is() -> None:
    before = gc.get_threshold()
    with unhurried():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
    with pytest.raises(RuntimeError), unhurried():
        raise RuntimeError
    assert gc.get_threshold() == before
