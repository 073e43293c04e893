"""An index filled again from the bucket gives the answers that the lost one gave."""

from __future__ import annotations

import pytest

from tests.reindex.corpus import answers, recorded, reindex
from tests.service import Service

pytestmark = pytest.mark.both_databases


async def test_every_question_has_the_same_answer(service: Service, fresh: Service) -> None:
    corpus = await recorded(service)
    before = await answers(service, corpus)
    report = await reindex(fresh)
    assert (report.quarantined, report.held, report.without_record, report.unreceipted) == ([], [], [], [])
    after = await answers(fresh, corpus)
    assert {url: (told, after[url]) for url, told in before.items() if after[url] != told} == {}
