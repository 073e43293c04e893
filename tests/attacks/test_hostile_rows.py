"""The signer reads the record itself: no row can point it at anything else (DESIGN section 7)."""

from __future__ import annotations

import random

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from tests.attacks.actors import begin, built, finish
from tests.attacks.hostile import WHEN, assert_refused, claim, plant, request, the_statement, written
from tests.attacks.remains import change, query, remains
from tests.attacks.statements import statements
from tests.service import Service, reference, sha256

OUT = reference(b"wheel", name="x.whl")


async def test_any_bit_of_a_sealed_record_changed_is_noticed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    random.seed(20261122)
    steps = [await begin(client) for _ in range(40)]
    for step in steps:
        line = written(step, outputs=[OUT])
        await plant(service, step, line)
        path = (
            service.folder
            / "data"
            / "objects"
            / str(layout.segment("default", step.id, Digest.of(line), WHEN))
        )
        damaged = bytearray(line)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        path.chmod(0o600)
        path.write_bytes(damaged)
    await service.sign()
    left = remains(service.folder / "data")
    assert left.rows["attestation"] == frozenset()
    assert left.keys("attestations/") == []
    told = query(service.folder / "data", "SELECT reason FROM step_ledger WHERE state = 'refused'")
    assert told == [("the sealed record was changed",)] * len(steps)


PLACES: dict[str, dict[str, object]] = {
    "other digest": {"digest": bytes(32)},
    "no digest": {"digest": None},
    "short digest": {"digest": b"abc"},
    "text as digest": {"digest": "x" * 32},
    "empty": {"length": 0},
    "shorter": {"length": 5},
    "longer": {"length": 10**6},
    "negative length": {"length": -1},
    "endless length": {"length": 2**62},
    "no length": {"length": None},
    "text as length": {"length": "all"},
    "later": {"start": 1},
    "negative start": {"start": -1},
    "beyond": {"start": 2**62},
    "no start": {"start": None},
    "no such object": {"segment": "projects/default/records/2026/11/01K00000000000000000000000-00.ndjson"},
    "a folder": {"segment": "projects/default/records/2026"},
    "outside the store": {"segment": "../../../etc/passwd"},
    "absolute": {"segment": "/etc/passwd"},
    "prefix with dots": {"segment": "projects/default/records/../../other/records/x"},
    "other project": {"segment": "projects/other/records/2026/11/x"},
    "project with our name first": {"segment": "projects/default-2/records/2026/11/x"},
    "blob": {"segment": f"projects/default/blobs/sha256/{sha256(b'x')}"},
    "attestation": {"segment": "attestations/sha256/x.json"},
    "staging": {"segment": "staging/01K00000000000000000000000"},
    "keys": {"segment": "control/keys/x.json"},
    "number": {"segment": 5},
    "blob column": {"segment": b"\xff\xfe"},
}


@pytest.mark.parametrize("lie", PLACES.values(), ids=PLACES.keys())
async def test_a_row_that_lies_about_where_the_record_is_gets_nothing_signed(
    service: Service, client: httpx2.AsyncClient, lie: dict[str, object]
) -> None:
    step = await begin(client)
    line = written(step, outputs=[OUT])
    await plant(service, step, line)
    honest = {
        "segment": str(layout.segment("default", step.id, Digest.of(line), WHEN)),
        "start": 0,
        "length": len(line),
        "digest": Digest.of(line).raw,
    }
    for key in ("other", "default-2"):
        place = service.folder / "data" / "objects" / "projects" / key / "records" / "2026" / "11" / "x"
        place.parent.mkdir(parents=True)
        place.write_bytes(line)
    claim(service, step, **{**honest, **lie})
    assert await assert_refused(service, step)


async def test_a_link_in_the_place_of_a_record_is_not_followed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    line = written(step, outputs=[OUT])
    outside = service.folder / "outside"
    outside.write_bytes(line)
    key = Key("projects/default/records/2026/11/link")
    place = service.folder / "data" / "objects" / str(key)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    claim(service, step, segment=str(key), start=0, length=len(line), digest=Digest.of(line).raw)
    assert await assert_refused(service, step)


async def test_a_second_record_of_a_signed_step_is_refused(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await built(service, client)
    before = remains(service.folder / "data")
    await plant(service, step, written(step, outputs=[OUT], name="another story"))
    await service.sign()
    left = remains(service.folder / "data")
    assert left.rows["attestation"] == before.rows["attestation"]
    assert left.keys("attestations/") == before.keys("attestations/")
    told = query(service.folder / "data", "SELECT reason FROM step_ledger WHERE state = 'refused'")
    assert told == [("another record of this step is signed already",)]


async def test_asking_again_and_again_signs_once(service: Service, client: httpx2.AsyncClient) -> None:
    step = await built(service, client)
    before = remains(service.folder / "data")
    for state in ("sealed", "open", "sealing", "refused", "signed"):
        change(service.folder / "data", "UPDATE step SET state = ? WHERE id = ?", state, step.id)
        request(service, step.id)
        await service.sign()
    left = remains(service.folder / "data")
    assert left.rows["attestation"] == before.rows["attestation"]
    assert left.keys("attestations/") == before.keys("attestations/")


async def test_rows_cannot_choose_builder_project_or_time(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await finish(client, step)
    change(
        service.folder / "data",
        "UPDATE step SET name = 'evil', principal = 'token:evil', outcome = 'succeeded', run = run,"
        " began_at = 1, finished_at = 2, begun = '{\"name\":\"evil\"}', finished = '{}' WHERE id = ?",
        step.id,
    )
    statement = await the_statement(service)
    assert "evil" not in str(statement)
    assert statement["predicate"]["builder"]["id"] == "http://custody.test/builders/local/v1"
    assert statement["predicate"]["record"]["began_at"] == "2026-11-22T10:00:00.000Z"


@pytest.mark.parametrize("topic", ["", "x", "../x", "01K00000000000000000000000", "sha256:00", "{}", "\x00"])
async def test_a_job_that_names_no_sealed_step_gets_nothing(
    service: Service, client: httpx2.AsyncClient, topic: str
) -> None:
    step = await begin(client)
    for name in (topic, step.id):
        request(service, name)
        for kind in ("attest", "sign-payload", "statement"):
            request(service, name, kind=kind)
        request(service, name, project="../other")
    for _ in range(3):
        service.clock.advance(60)
        await service.sign()
    assert statements(service.folder / "data") == []
    assert remains(service.folder / "data").rows["attestation"] == frozenset()


async def test_a_bundle_that_the_index_keeps_is_published_only_if_this_signer_signed_it(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """Between the decision and the object the bundle waits in a row, and no row is trusted."""
    step = await built(service, client)
    folder = service.folder / "data"
    (key,) = remains(folder).keys("attestations/")
    path = folder / "objects" / key
    good = path.read_bytes()
    path.unlink()
    forged = good.replace(b'"sig":"ME', b'"sig":"MF')
    assert forged != good
    change(folder, "UPDATE step SET state = 'sealed', record = ? WHERE id = ?", forged, step.id)
    request(service, step.id)
    await service.sign()
    assert remains(folder).keys("attestations/") == []
    assert query(folder, "SELECT state FROM step WHERE id = ?", step.id) == [("refused",)]
    # The true one is published, as after a crash.
    change(folder, "UPDATE step SET state = 'sealed', record = ? WHERE id = ?", good, step.id)
    request(service, step.id)
    await service.sign()
    assert path.read_bytes() == good
    assert query(folder, "SELECT state, record FROM step WHERE id = ?", step.id) == [("signed", None)]
