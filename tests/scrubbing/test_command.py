"""`custody-server scrub`, and the second store of the settings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from api.commands import main
from api.commands.options import environment_of
from api.second_store import open_second_store
from api.settings import Settings
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.layout import blob
from tests.attacks.actors import built
from tests.fakes.s3.server import a_fake_s3
from tests.reindex.corpus import objects
from tests.s3 import access_to, store_over
from tests.scrubbing.bench import copied, lying, spoil, the
from tests.service import Service
from tests.trees.shapes import upload


async def commanded(service: Service, *words: str) -> int:
    """Run the command beside the running service."""
    return await asyncio.to_thread(main, ["scrub", "--data", str(service.folder / "data"), *words])


async def test_what_is_whole_ends_with_0_and_says_what_was_looked_at(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await built(service, client)
    assert await commanded(service) == 0
    told = capsys.readouterr()
    assert "nothing is damaged" in told.out
    assert "  segments" in told.out
    assert "objects" in told.err


async def test_damage_ends_with_1_and_names_what_relies_on_it(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    step = await built(service, client)
    await upload(client, b"another")
    stranger = objects(service) / "projects/default/blobs/sha256/aa/bb"
    stranger.mkdir(parents=True)
    (stranger / "readme").write_bytes(b"")
    for path in lying(service, "projects/default/blobs"):
        if path.stat().st_size:
            spoil(path)
    assert await commanded(service) == 1
    told = capsys.readouterr().out
    assert "2 damaged, 0 healed" in told
    assert f"  steps: {step.id}" in told
    assert "  attestations: sha256:" in told
    assert "--repair mends what can be mended" in told
    assert "1 objects have names that nobody here gives" in told
    assert await commanded(
        service, "--json", "--since", "1s", "--project", "default", "--rate", "99999999"
    ) in {0, 1}
    assert await commanded(service, "--json", "--project", "default") == 1
    members = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (members["clean"], members["damaged"], members["healed"]) == (False, 2, 0)
    assert step.id in {one for damage in members["damages"] for one in damage["dependents"]["steps"]}
    assert "healed" not in members["damages"][0]


async def test_more_than_twenty_are_counted_and_left_to_json(
    service: Service, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        await upload(client, f"content {number}".encode())
    for path in lying(service, "projects/default/blobs"):
        spoil(path)
    assert await commanded(service) == 1
    assert "… and 5 more (--json has them)" in capsys.readouterr().out


async def test_repair_heals_from_the_second_store_of_the_settings(
    service: Service,
    client: httpx2.AsyncClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await upload(client, b"content")
    copied(service)
    path = the(service, "projects/default/blobs")
    good = spoil(path)
    assert await commanded(service, "--repair") == 1
    assert "not healed: there is no second store" in capsys.readouterr().out
    monkeypatch.setenv("CUSTODY_SECOND_STORE_URL", (service.folder / "second").as_uri())
    assert await commanded(service, "--repair") == 0
    assert path.read_bytes() == good
    told = capsys.readouterr().out
    assert "healed, from the second store" in told
    assert "1 damaged, 1 healed" in told
    assert await commanded(service) == 0


async def test_a_project_that_is_not_there_ends_with_3(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await commanded(service, "--project", "nobody") == 3
    assert "there is no such project" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--rate", "0"], ["--rate", "x"], ["--since", "yesterday"], ["--since", "0h"]]
)
async def test_what_makes_no_sense_is_refused(service: Service, words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        await commanded(service, *words)


def settings(tmp_path: Path, **changes: object) -> Settings:
    """Settings of a service in a folder."""
    return Settings.model_validate({"data": tmp_path / "data", **changes})


def test_without_a_setting_there_is_no_second_store(tmp_path: Path) -> None:
    assert open_second_store(settings(tmp_path)) is None


@pytest.mark.parametrize("where", ["missing", "data/objects", "data/objects/"])
def test_a_second_store_that_is_not_there_or_is_the_first_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "data" / "objects").mkdir(parents=True)
    url = f"file://{tmp_path}/{where}"
    with pytest.raises(InvalidInputError):
        open_second_store(settings(tmp_path, second_store_url=url))


async def test_the_second_store_is_only_read(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    second = open_second_store(settings(tmp_path, second_store_url=f"file://{tmp_path}/copy"))
    assert second is not None
    await second.put(blob("default", Digest.of(b"x")), b"x")
    assert list((tmp_path / "copy").rglob("*")) == []


async def test_a_second_bucket_may_have_an_address_and_credentials_of_its_own(tmp_path: Path) -> None:
    with a_fake_s3() as fake:
        access, kept = access_to(fake), store_over(fake, prefix="copy")
        key = blob("default", Digest.of(b"x"))
        await kept.put(key, b"x")
        kept.close()
        second = open_second_store(
            settings(
                tmp_path,
                second_store_url=f"s3://{access.bucket}/copy",
                second_s3_endpoint=access.endpoint,
                second_s3_access_key=access.access_key,
                second_s3_secret_key=access.secret_key,
            )
        )
        assert second is not None
        assert await second.read(key) == b"x"


def test_the_processes_that_serve_starts_get_the_credentials_of_the_second_bucket(tmp_path: Path) -> None:
    given = {"second_s3_access_key": "id", "second_s3_secret_key": "secret"}
    kept = environment_of(settings(tmp_path, **given))
    assert kept["CUSTODY_SECOND_S3_SECRET_KEY"] == "secret"
    assert "CUSTODY_S3_SECRET_KEY" not in kept
    with pytest.raises(ValueError, match="set together"):
        settings(tmp_path, second_s3_access_key="id")
