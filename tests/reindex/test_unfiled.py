"""What a reindex cannot file does not keep the signer from its work, nor is it stated a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from provenance.attest import Attester
from provenance.reindex.report import Report
from tests.attacks.actors import OpenStep, an_id, begin, finish, put
from tests.attacks.planting import a_line, a_segment, honest, plant
from tests.reindex.corpus import journal_tokens, looking, objects, reindex
from tests.service import Service

pytestmark = pytest.mark.both_databases


async def signed_with_after(service: Service, fresh: Service) -> Report:
    """Reindex `fresh`, see that it may be signed with then and not before, and that it is."""
    with pytest.raises(Exception, match="older than the bucket"):
        await looking(fresh).check(now=service.clock.now())
    report = await reindex(fresh)
    await looking(fresh).check(now=service.clock.now())
    async with fresh.client() as client:
        step = await begin(client)
        await finish(client, step)
        await fresh.sign()
        assert (await client.get(step.url)).json()["state"] == "signed"
    return report


async def without_its_record(service: Service) -> OpenStep:
    """A step that was signed, and whose record was lost from the bucket."""
    step = await honest(service)
    segment(service).unlink()
    return step


def segment(service: Service) -> Path:
    """The only segment."""
    (path,) = (objects(service) / "projects" / "default" / "records").rglob("*.ndjson")
    return path


async def test_a_statement_whose_record_is_nowhere(service: Service, fresh: Service) -> None:
    await without_its_record(service)
    assert len((await signed_with_after(service, fresh)).without_record) == 1


async def test_a_statement_under_an_address_that_is_no_longer_ours(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        step = await begin(client)
        await finish(client, step)
    elsewhere = Attester(
        service.database, service.store, service.clock, signer=service.signer, public_url="http://old.test"
    )
    await service._labour("sign", elsewhere.attest)
    report = await signed_with_after(service, fresh)
    assert [one.reason for one in report.quarantined] == ["the key does not speak for that builder"]


async def test_a_segment_that_was_damaged_before_it_was_signed(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        await finish(client, await begin(client))
    path = segment(service)
    plant(service, str(path.relative_to(objects(service))), b"{" + path.read_bytes()[1:-1])
    assert not (await signed_with_after(service, fresh)).clean


async def test_two_records_of_one_step_that_nobody_signed(service: Service, fresh: Service) -> None:
    await honest(service)
    torn = an_id()
    for name in ("one", "two"):
        line = a_line(torn, name=name)
        plant(service, service.seal.put_on(a_segment(torn, line)), line + b"\n")
    assert len((await signed_with_after(service, fresh)).quarantined) == 2


async def test_a_step_whose_record_is_lost_is_not_stated_a_second_time(
    service: Service, fresh: Service
) -> None:
    lost = await without_its_record(service)
    await reindex(fresh)
    async with fresh.client() as client:
        # As a client does that finds the step unknown: the same id again.
        await begin(client, id=lost.id)
        await put(client, lost, "x", b"made again")
        await finish(client, lost)
        await fresh.sign()
        page = (await client.get(lost.url)).json()
    assert (page["state"], page["attestations"]) == ("refused", [])
    assert "is lost" in page["ledger"][-1]["reason"]
    assert len(list((objects(service) / "attestations").rglob("*.json"))) == 1


async def test_what_came_back_is_filed_and_no_longer_remembered_as_left_out(
    service: Service, fresh: Service
) -> None:
    step = await honest(service)
    record = segment(service)
    aside = record.rename(service.folder / "aside")
    await reindex(fresh)
    aside.rename(record)
    assert (await reindex(fresh, resume=True)).clean
    await looking(fresh).check(now=service.clock.now())
    async with fresh.client() as client:
        assert (await client.get(step.url)).json()["state"] == "signed"
