"""An index filled again from the bucket gives the answers that the lost one gave."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from api.preparing import migrate
from api.settings import Settings
from artifacts.storage.protocol import ObjectStore
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.server import a_fake_s3
from tests.reindex.corpus import answers, recorded, reindex, without_its_index
from tests.s3 import store_over
from tests.service import Service, a_service


@pytest.mark.both_databases
async def test_every_question_has_the_same_answer(service: Service, fresh: Service) -> None:
    await asked_before_and_after(service, fresh)


async def asked_before_and_after(service: Service, fresh: Service) -> None:
    """Record the corpus, lose the index, and compare all answers."""
    corpus = await recorded(service)
    before = await answers(service, corpus)
    report = await reindex(fresh)
    assert (report.quarantined, report.held, report.without_record, report.unreceipted) == ([], [], [], [])
    after = await answers(fresh, corpus)
    assert {url: (told, after[url]) for url, told in before.items() if after[url] != told} == {}


async def over(store: ObjectStore, folder: Path) -> None:
    """The same with the objects in `store`."""
    settings = Settings(data=folder / "fresh")
    await migrate(settings)
    async with (
        a_service(folder, kept_in=store) as service,
        without_its_index(service, settings.index_url) as fresh,
    ):
        await asked_before_and_after(service, fresh)


async def test_every_question_has_the_same_answer_from_a_bucket(tmp_path: Path) -> None:
    with a_fake_s3(page=7) as fake:
        store = store_over(fake)
        await over(store, tmp_path)
        store.close()


@pytest.mark.slow
async def test_every_question_has_the_same_answer_from_a_real_bucket(
    tmp_path: Path, real_bucket: Access
) -> None:
    store = S3Store(Bucket(real_bucket), prefix=f"reindex-{secrets.token_hex(6)}")
    await over(store, tmp_path)
    store.close()
