"""An older copy of an index, a run that was killed, tokens that were revoked: nothing goes back."""

from __future__ import annotations

import pytest

from artifacts.errors import EvidenceError
from artifacts.queries import reindexed_facts, tokens
from artifacts.queries.reindexed_facts import TokenFact
from artifacts.tokens import Tokens
from tests.attacks.actors import begin, built, finish, put
from tests.reindex.corpus import (
    alike,
    answers,
    journal_tokens,
    left_unsigned,
    looking,
    objects,
    recorded,
    reindex,
)
from tests.service import TOKENS, Service

pytestmark = pytest.mark.both_databases


async def test_the_index_that_wrote_the_bucket_may_be_signed_with(service: Service) -> None:
    await recorded(service)
    await looking(service).check(now=service.clock.now())


async def test_an_empty_index_over_a_full_bucket_may_not_be_signed_with_until_it_is_filled(
    service: Service, fresh: Service
) -> None:
    async with service.client() as client:
        await built(service, client)
    with pytest.raises(EvidenceError) as refused:
        await looking(fresh).check(now=service.clock.now())
    assert "reindex" in str(refused.value.hint)
    await reindex(fresh)
    await looking(fresh).check(now=service.clock.now())


async def test_an_older_copy_is_noticed_by_one_step_it_does_not_know(
    service: Service, fresh: Service
) -> None:
    async with service.client() as client:
        await built(service, client)
        await reindex(fresh)
        service.clock.advance(40 * 24 * 3600)
        step = await begin(client)
        await finish(client, step)
    with pytest.raises(EvidenceError) as refused:
        await looking(fresh).check(now=service.clock.now())
    assert step.id in str(refused.value.facts["unknown"])


async def test_an_older_copy_is_noticed_by_one_statement_it_does_not_know_and_signs_no_second(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        step = await begin(client)
        await put(client, step, "x", b"x")
        await finish(client, step)
        await reindex(fresh)  # the copy: sealed, and not signed
        await service.sign()
        page = (await client.get(step.url)).json()
    with pytest.raises(EvidenceError) as refused:
        await looking(fresh).check(now=service.clock.now())
    assert page["attestations"][0]["digest"][7:] in str(refused.value.facts["unknown"])
    report = await reindex(fresh, resume=True)
    assert report.counts["records signed"] == 1
    await looking(fresh).check(now=service.clock.now())
    await fresh.sign()
    async with fresh.client() as client:
        answered = (await client.get(step.url)).json()
    assert alike(answered) == alike(page)
    assert len(list((objects(service) / "attestations").rglob("*.json"))) == 1


async def test_names_that_somebody_planted_do_not_stop_the_signer(service: Service) -> None:
    await recorded(service)
    bucket = objects(service)
    planted = bucket / "projects" / "default" / "records" / "2026" / "11"
    (planted / f"01K{'9' * 23}-{'a' * 64}.ndjson").write_bytes(b"{}\n")
    (bucket / "attestations" / "sha256" / f"{'b' * 64}.json").write_bytes(b"{}")
    (bucket / "attestations" / "sha256" / "readme").write_bytes(b"{}")
    await looking(service).check(now=service.clock.now())


async def test_what_was_not_signed_yet_is_signed_once_the_index_is_back(
    service: Service, fresh: Service
) -> None:
    corpus = await recorded(service)
    await left_unsigned(service, corpus)
    report = await reindex(fresh)
    assert report.unsigned == [f"default/{corpus.unsigned.rpartition('/')[2]}"]
    await fresh.sign()
    async with fresh.client() as client:
        page = (await client.get(corpus.unsigned)).json()
        assert (page["state"], len(page["attestations"])) == ("signed", 1)
        assert (await client.get(corpus.open)).status_code == 404


async def test_a_second_run_changes_nothing_whether_or_not_it_reads_everything_again(
    service: Service, fresh: Service
) -> None:
    corpus = await recorded(service)
    await reindex(fresh)
    once = await answers(fresh, corpus)
    for resume in (False, True):
        report = await reindex(fresh, resume=resume)
        assert report.clean
        assert await answers(fresh, corpus) == once


async def test_a_reindex_of_the_index_that_wrote_the_bucket_changes_nothing(service: Service) -> None:
    corpus = await recorded(service)
    before = await answers(service, corpus)
    await reindex(service)
    after = await answers(service, corpus)
    assert {url: (told, after[url]) for url, told in before.items() if after[url] != told} == {}
    async with service.client() as client:
        assert (await client.get(corpus.open)).json()["state"] == "open"


async def test_a_revoked_token_stays_revoked(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    await issuing.revoke("other", f"01K{1:023d}")
    await issuing.revoke("default", f"01K{1:023d}")  # of another project: nothing
    await reindex(fresh)
    for every in (service, fresh):
        async with every.client(TOKENS["other"]) as client:
            assert (await client.get("/v1/artifacts?name=x")).status_code == 401
        async with every.client() as client:
            assert (await client.get("/v1/artifacts?name=x")).status_code == 200


YOUNGER, OLDER = f"01K{1:023d}", f"01J{0:023d}"


async def journaled_twice(service: Service) -> Tokens:
    """Write of the token of `other` as a start does that is killed before the index knows, then another."""
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    fact = {"fact": "token", "id": OLDER, "project": "other", "label": "test"}
    await issuing._journal("other", {**fact, "sha256": tokens.hashed(TOKENS["other"]).hex()})
    service.clock.advance(1)
    await journal_tokens(service)
    return issuing


async def test_a_secret_that_was_journaled_under_two_ids_stays_revoked(
    service: Service, fresh: Service
) -> None:
    issuing = await journaled_twice(service)
    await issuing.revoke("other", YOUNGER)
    await reindex(fresh)
    for every in (service, fresh):
        async with every.client(TOKENS["other"]) as client:
            assert (await client.get("/v1/artifacts?name=x")).status_code == 401
        async with every.client() as client:
            assert (await client.get("/v1/artifacts?name=x")).status_code == 200


async def test_a_revocation_without_a_hash_is_resolved_by_the_tokens_of_its_id(
    service: Service, fresh: Service
) -> None:
    issuing = await journaled_twice(service)
    await issuing._journal("other", {"fact": "revocation", "token": YOUNGER})
    await issuing._journal("default", {"fact": "revocation", "token": YOUNGER})  # of another project: nothing
    report = await reindex(fresh)
    assert report.counts["revocations"] == 2
    async with fresh.client(TOKENS["other"]) as client:
        assert (await client.get("/v1/artifacts?name=x")).status_code == 401
    async with fresh.client() as client:
        assert (await client.get("/v1/artifacts?name=x")).status_code == 200


async def test_a_revocation_by_hash_needs_no_line_of_that_id(service: Service, fresh: Service) -> None:
    issuing = await journaled_twice(service)
    line = {"fact": "revocation", "token": f"01K{7:023d}", "sha256": tokens.hashed(TOKENS["other"]).hex()}
    await issuing._journal("other", line)
    await reindex(fresh)
    async with fresh.client(TOKENS["other"]) as client:
        assert (await client.get("/v1/artifacts?name=x")).status_code == 401


@pytest.mark.parametrize("ids", [("01A", "01B"), ("01B", "01A")])
async def test_of_two_ids_of_one_moment_a_secret_has_the_smaller(
    fresh: Service, ids: tuple[str, str]
) -> None:
    facts = [TokenFact("other", f"{id_}{0:023d}", "test", tokens.hashed("cpt_new"), at=1) for id_ in ids]
    async with fresh.database.writing() as connection:
        await tokens.ensure_project(connection, "other", at=1)
        await reindexed_facts.add_tokens(connection, facts)
        found = await tokens.find_token(connection, tokens.hashed("cpt_new"))
    assert found is not None
    assert found.id == f"01A{0:023d}"


async def test_of_two_runs_of_one_name_the_one_with_steps_is_found(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    principal = f"token:01K{0:023d}"
    recorder = service.parts.recorder
    for id_ in ("01A" + "0" * 23, "01B" + "0" * 23):
        # Two api processes, each of which wrote of its run before either had a row.
        fact: dict[str, object] = {"fact": "run", "id": id_, "name": "nightly", "named": True}
        await recorder._journal("default", fact, principal, at=service.clock.now())
        service.clock.advance(1)
    found, _ = await recorder.begin_run("default", principal, id_="01B" + "0" * 23, name="nightly")
    async with service.client() as client:
        step = await begin(client, run=found.id)
        await finish(client, step)
    await service.sign()
    await reindex(fresh)
    async with fresh.client() as client:
        answer = await client.post("/v1/runs", json={"name": "nightly"})
    assert (answer.status_code, answer.json()["id"]) == (200, found.id)
