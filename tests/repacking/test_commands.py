"""`custody-server compact` and `custody-server purge`, and what a worker does of both by itself."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import httpx2
import pytest
from structlog.testing import capture_logs

from api.commands import main
from api.repack_rounds import CompactRounds, RepackParts, parts_of
from api.settings import Settings
from artifacts.digest import Digest
from artifacts.errors import EvidenceError
from tests.attacks.remains import change, query
from tests.repacking.bench import DAY, Anew, assert_readable, contents, finds, keep, key_of, pack_of, remove
from tests.service import Service, sha256
from tests.trees.shapes import Tree, upload

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = b"a token that was printed into a file\n"
ALL = contents("src", 24)
FEW = {path: ALL[path] for path in list(ALL)[::4]}


async def command(service: Service, *words: str) -> int:
    """A command, as beside a running service."""
    return await asyncio.to_thread(main, [*words, "--data", str(service.folder / "data")])


async def frayed(service: Service, client: httpx2.AsyncClient) -> Tree:
    """A tree that uses little of a pack that came long ago."""
    service.clock.moment = LONG_AGO
    whole = await keep(service, client, ALL)
    tree = await keep(service, client, FEW)
    await remove(service, whole)
    return tree


def parts(service: Service, **settings: object) -> RepackParts:
    """The parts of a worker."""
    made = Settings(data=service.folder / "data", **settings)  # type: ignore[arg-type]  # as a test gives them
    return parts_of(made, service.database, service.store, service.clock, service.seal)


async def test_compact_says_what_it_would_do_and_does_it(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = await frayed(service, client)
    pack = pack_of(ALL.values())
    assert await command(service, "compact", "--dry-run") == 0
    told = capsys.readouterr().out
    assert f"default: 1 packs, {len(pack.content):,} bytes, of which about" in told
    assert pack.digest in told
    assert told.endswith("other: nothing frays\nnothing was changed\n")
    assert await command(service, "compact", "--project", "default") == 0
    told = capsys.readouterr().out
    assert f"default: 1 packs, {len(pack.content):,} bytes, became 1 packs" in told
    await assert_readable(client, tree, FEW)
    capsys.readouterr()
    assert await command(service, "compact", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["projects"]["default"]["packs"] == 0
    assert await command(service, "compact", "--project", "nobody") == 3


async def test_compact_tells_of_damage(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await frayed(service, client)
    pack = pack_of(ALL.values())
    path = service.folder / "data" / "objects" / str(key_of(pack.content))
    path.chmod(0o600)
    path.write_bytes(b"x" + pack.content[1:])
    assert await command(service, "compact") == 1
    assert f"damaged, or used by a tree whose manifest is: {pack.digest}" in capsys.readouterr().out


async def test_the_worker_compacts_after_a_tree_was_removed_and_again_a_day_later(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await frayed(service, client)
    rounds = CompactRounds(parts(service), 3600)
    with capture_logs() as logs:
        await rounds.round()
        assert [line["event"] for line in logs if line["event"].startswith("compact")] == []
        service.clock.advance(DAY + 1)
        await rounds.round()
        (done,) = [line for line in logs if line["event"].startswith("compact")]
        assert (done["event"], done["packs"], done["made"]) == ("compact.done", 1, 1)
        assert done["bytes_after"] < 0.4 * done["bytes_before"]
        await rounds.round()
        assert len([line for line in logs if line["event"].startswith("compact")]) == 1
    await Anew(service).settle()
    await assert_readable(client, tree, FEW)
    stop = asyncio.Event()
    stop.set()
    await CompactRounds(parts(service), 0).run(asyncio.Event())
    await CompactRounds(parts(service), 1).run(stop)


async def test_an_index_that_is_older_than_its_bucket_packs_nothing_anew_and_purges_nothing(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await frayed(service, client)
    body = {"name": "x", "outcome": "succeeded", "outputs": [{"digest": {"sha256": "ab" * 32}, "name": "x"}]}
    assert (await client.post("/v1/records", json=body)).status_code == 201
    for table in ("step_ledger", "step_output", "step_input", "step_dep", "queue", "step"):
        change(service.folder / "data", f"DELETE FROM {table}")  # noqa: S608  # names are the schema's own
    assert await command(service, "compact") == 5
    assert await command(service, "purge", f"sha256:{sha256(ALL['src/001'])}", "--reason", "x") == 5
    assert "the index is older than the bucket" in capsys.readouterr().err
    rounds = CompactRounds(parts(service), 3600)
    with capture_logs() as logs:
        await rounds.round()
    assert [line["event"] for line in logs] == ["compact.failed"]
    with pytest.raises(EvidenceError):
        await parts(service).check()


async def test_purge_says_what_it_would_do_does_it_and_says_what_it_does_not_reach(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = await keep(service, client, FEW | {"env": SECRET})
    other = await keep(service, client, FEW)
    async with service.client("cpt_other") as neighbour:
        await upload(neighbour, SECRET)
    await upload(client, SECRET)
    digest = f"sha256:{sha256(SECRET)}"
    capsys.readouterr()
    assert await command(service, "purge", digest, "--dry-run") == 0
    told = capsys.readouterr().out
    assert told.startswith(f"would purge {digest} in project default\n  a blob of {len(SECRET)} bytes\n")
    await assert_readable(client, tree, FEW | {"env": SECRET})
    assert await command(service, "purge", digest, "--reason", "leaked in run 7") == 0
    told = capsys.readouterr().out
    assert f"    {tree.digest}\n" in told
    assert "NOT REACHED: other projects that have it: 1\n    other\n" in told
    assert await finds(service.store, SECRET, "projects/default/") == []
    await assert_readable(client, other, FEW)
    rows = query(
        service.folder / "data", "SELECT state, reason, detail, barred FROM tombstone ORDER BY detail"
    )
    assert rows == [
        ("gone", "purged", f"a pack that held {digest}", 1),
        ("gone", "purged", "leaked in run 7", 1),
    ]
    assert await command(service, "purge", digest, "--reason", "again") == 3
    capsys.readouterr()
    assert await command(service, "purge", digest, "--reason", "a mistake", "--lift", "--json") == 0
    assert json.loads(capsys.readouterr().out)["taken_in_again"][0] == digest
    await upload(client, SECRET)


async def test_purge_says_why_it_does_not(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = await keep(service, client, {"env": SECRET})
    digest = f"sha256:{sha256(SECRET)}"
    change(
        service.folder / "data",
        "INSERT INTO hold (project, digest, reason, placed_at) VALUES ('default', ?, 'a case', 1)",
        Digest.parse(tree.digest).raw,
    )
    assert await command(service, "purge", digest, "--reason", "x") == 1
    told = capsys.readouterr().err
    assert f"  {tree.digest}\nhint: custody-server hold DIGEST --lift\n" in told
    assert await command(service, "purge", pack_of([SECRET]).digest, "--reason", "x") == 2
    assert "purge the digests of the files that leaked" in capsys.readouterr().err
    assert await command(service, "purge", f"sha256:{sha256(b'nobody')}", "--reason", "x") == 3
    assert await command(service, "purge", digest, "--reason", "x", "--project", "other") == 3
    assert await command(service, "purge", digest, "--reason", "x", "--lift") == 3
    for misused in (
        [digest],
        ["sha512:" + "ab" * 64, "--reason", "x"],
        ["nonsense", "--reason", "x"],
        [digest, "--reason", "x" * 2000],
        [digest, "--reason", "x", "--lift", "--dry-run"],
    ):
        with pytest.raises(SystemExit) as ended:
            await command(service, "purge", *misused)
        assert ended.value.code == 2
    await assert_readable(client, tree, {"env": SECRET})
