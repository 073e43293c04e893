"""Before anything is signed, index and bucket are compared; what was put back or planted stops it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from artifacts import layout
from artifacts.errors import EvidenceError, UnavailableError
from provenance.log.checkpoint import Checkpoint
from provenance.log.notes import NoteSigner
from provenance.log.objects import LogObjects
from provenance.log.tiles import Tile
from tests.attacks.remains import change
from tests.provenance.log.published import published, some_built
from tests.service import Service

pytestmark = pytest.mark.both_databases
KEY = str(layout.log_checkpoint())


def put(service: Service, key: str, content: bytes | None) -> bytes:
    """Put something in the place of an object, or nothing; return what lay there."""
    path = service.folder / "data" / "objects" / key
    before = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return before


async def refused(service: Service) -> str:
    """Why nothing may be added to the log."""
    with pytest.raises(EvidenceError) as caught:
        await service.appender().resume()
    return caught.value.message


async def test_a_checkpoint_that_was_taken_away_or_put_back_is_published_again(service: Service) -> None:
    await some_built(service, 2)
    await service.log()
    older = put(service, KEY, None)
    await service.appender().resume()
    assert (await published(service)).checkpoint.size == 2
    await some_built(service, 3, first=2)
    await service.log()
    newer = put(service, KEY, older)
    await service.appender().resume()
    assert put(service, KEY, None) == newer


@pytest.mark.parametrize("planted", [b"", b"garbage\n", b"x" * 70_000])
async def test_what_is_no_checkpoint_of_ours_stops_the_log(service: Service, planted: bytes) -> None:
    await some_built(service, 1)
    await service.log()
    put(service, KEY, planted)
    assert "none that the key of this log signed" in await refused(service)
    put(service, KEY, None)
    await service.appender().resume()
    await published(service)


async def test_the_checkpoint_of_another_key_stops_the_log(service: Service) -> None:
    await some_built(service, 1)
    await service.log()
    other = NoteSigner.of("custody.test", ed25519.Ed25519PrivateKey.generate())
    put(service, KEY, Checkpoint("custody.test", 1, bytes(32)).signed(other))
    assert "none that the key of this log signed" in await refused(service)


async def test_a_tree_of_one_size_with_another_root_is_a_fork(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    for size in (3, 2):
        forked = Checkpoint("custody.test", size, bytes(32)).signed(service.appender().signer)
        honest = put(service, KEY, forked)
        assert "not the same" in (told := await refused(service)) or "both roots" in told
        put(service, KEY, honest)


async def test_tiles_that_are_damaged_or_gone_stop_the_log(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    for tile in (Tile(0, 0, 3), Tile(None, 0, 3)):
        key = str(layout.log_tile(tile.path))
        content = put(service, key, None)
        assert "missing" in await refused(service)
        put(service, key, content[:-1] + b"\0")
        assert await refused(service)
        put(service, key, content)
    await service.appender().resume()


async def test_a_tile_that_lies_there_already_and_is_another_stops_the_log(service: Service) -> None:
    await some_built(service, 1)
    put(service, str(layout.log_tile(Tile(None, 0, 1).path)), bytes(32))
    appender = service.appender()
    with pytest.raises(EvidenceError, match="another tile"):
        await appender.round()
    assert await LogObjects(service.store).note() is None


async def test_tiles_of_more_leaves_than_the_index_has_stop_the_log(service: Service) -> None:
    await some_built(service, 1)
    for tile in (Tile(0, 0, 7), Tile(0, 0)):
        key = str(layout.log_tile(tile.path))
        put(service, key, bytes(32))
        assert "older than the published log" in await refused(service)
        put(service, key, None)
    put(service, "log/tile/0/000.p/x", b"")
    put(service, "log/tile/0/000.p/999", b"")
    await service.appender().resume()


async def test_rows_that_are_gone_or_others_stop_the_log(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    folder = service.folder / "data"
    change(folder, "UPDATE log_leaf SET hash = ? WHERE number = 1", bytes(32))
    assert "other leaves" in await refused(service)
    change(folder, "DELETE FROM log_leaf WHERE number > ?", 0)
    assert "older than the published log" in await refused(service)


async def test_a_row_that_tells_of_less_than_was_published_stops_the_log(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    change(service.folder / "data", "UPDATE log_head SET size = ?", 2)
    assert "older than the published log" in await refused(service)
    change(service.folder / "data", "UPDATE log_head SET size = 0, root = ?", None)
    assert "older than the published log" in await refused(service)


async def test_a_row_that_tells_of_another_root_stops_the_log(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    change(service.folder / "data", "UPDATE log_head SET root = ?", bytes(32))
    assert "do not lead to the root" in await refused(service)


async def test_a_signer_that_may_remove_nothing_logs_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(self: LogObjects, tiles: object) -> None:
        raise UnavailableError("the object store refuses the service")

    monkeypatch.setattr(LogObjects, "prune", denied)
    await some_built(service, 1)
    assert await service.log() == 1
    assert (await published(service)).checkpoint.size == 1
