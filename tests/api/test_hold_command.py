"""`custody-server hold`: it counts at once, is signed soon, and is listed until it is lifted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from api.commands import main
from artifacts.digest import Digest
from artifacts.queries import removals
from tests.control import DEFAULT, a_tombstone, decided, kept
from tests.reindex.corpus import reindex
from tests.service import Service
from tests.trees.shapes import a_pack, a_tree, send, upload

pytestmark = pytest.mark.both_databases

DIGEST = Digest.of(b"held")


@pytest.fixture(autouse=True)
def _index_of_the_command(index: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if index is not None:
        monkeypatch.setenv("CUSTODY_DATABASE_URL", index)


@pytest.fixture(autouse=True)
def _clock_of_the_command(service: Service) -> None:
    service.clock.moment = datetime.now(UTC) + timedelta(days=1)


async def command(service: Service, *words: str, wait: float = 0) -> int:
    """The command, as beside a running service."""
    folder = ["--data", str(service.folder / "data")]
    waiting = [] if "--list" in words else ["--wait", str(wait)]
    return await asyncio.to_thread(main, ["hold", *words, *waiting, *folder])


async def until(told: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is so: the command is in a thread of its own, as another process would be."""
    async with asyncio.timeout(60):
        while not await told():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.02)


async def is_held(service: Service) -> bool:
    async with service.database.reading() as connection:
        return await removals.is_held(connection, DEFAULT, DIGEST)


async def test_a_hold_is_placed_listed_signed_and_lifted(
    service: Service, fresh: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    async with service.client() as client:
        await upload(client, b"held")
    capsys.readouterr()
    assert await command(service, str(DIGEST), "--reason", "an audit") == 0
    told = capsys.readouterr()
    assert told.out == f"placed on {DIGEST} in project default: an audit\n"
    assert "not signed yet" in told.err
    assert await is_held(service)
    await service.sign_decisions()
    assert await command(service, str(DIGEST), "--reason", "an audit", "--json") == 0
    told = capsys.readouterr()
    page = json.loads(told.out)
    (path,) = kept(service)
    assert (page["state"], page["attested"]) == ("placed", str(Digest.of(path.read_bytes())))
    assert (path.stem, told.err) == (page["event"], "")
    assert await command(service, "--list") == 0
    assert capsys.readouterr().out == f"{DIGEST}  default  {page['at']}  signed  an audit\n"
    await reindex(fresh)
    assert await is_held(fresh)
    assert await command(service, str(DIGEST), "--reason", "over", "--lift") == 0
    assert not await is_held(service)
    assert await command(service, "--list", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"held": []}


async def test_the_command_waits_for_the_signature(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    holding = asyncio.create_task(command(service, str(DIGEST), "--reason", "an audit", wait=60))
    await until(service.sign_decisions)
    assert await holding == 0
    told = capsys.readouterr()
    assert "not signed" not in told.err
    assert "nothing is stored under it in project default today" in told.err


async def test_a_later_word_ends_the_waiting(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    holding = asyncio.create_task(command(service, str(DIGEST), "--reason", "an audit", wait=60))
    await until(partial(is_held, service))
    assert await command(service, str(DIGEST), "--reason", "no", "--lift") == 0
    assert await holding == 0
    assert "not signed yet" in capsys.readouterr().err


async def test_a_tree_is_held_by_its_digest(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
    assert await command(service, tree.digest, "--reason", "the model of record") == 0
    assert "nothing is stored" not in capsys.readouterr().err
    assert await command(service, "--list", "--project", "other") == 0
    assert capsys.readouterr().out == ""
    assert await command(service, "--list", "--project", DEFAULT) == 0
    assert "not signed yet  the model of record" in capsys.readouterr().out


async def test_a_new_reason_is_a_new_word_and_the_same_is_none(service: Service) -> None:
    for reason in ("one", "one", "two", "two"):
        assert await command(service, str(DIGEST), "--reason", reason) == 0
    assert await service.sign_decisions() == 2


async def test_what_is_being_removed_is_not_held(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await decided(service, a_tombstone(b"held"), state="deleting", gone_at=None)
    assert await command(service, str(DIGEST), "--reason", "an audit") == 1
    assert "too late" in capsys.readouterr().err
    assert not await is_held(service)
    await decided(service, a_tombstone(b"held", barred=False))
    assert await command(service, str(DIGEST), "--reason", "whatever comes again") == 0


async def test_what_is_not_held_or_no_project_is_nothing_found(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command(service, str(DIGEST), "--reason", "x", "--lift") == 3
    assert await command(service, str(DIGEST), "--reason", "x", "--project", "nobody") == 3
    told = capsys.readouterr().err
    assert "that is not held" in told
    assert "there is no such project" in told


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--list", str(DIGEST)),
        ("--list", "--lift"),
        (str(DIGEST),),
        (str(DIGEST), "--lift"),
        ("abc", "--reason", "x"),
        (f"gitCommit:{'a' * 40}", "--reason", "x"),
        (str(DIGEST), "--reason", "a\nb"),
        (str(DIGEST), "--reason", "x" * 2000),
    ],
)
def test_what_makes_no_sense_is_misuse(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["hold", *words])
    assert ended.value.code == 2
