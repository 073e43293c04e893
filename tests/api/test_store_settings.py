"""Choosing a store by its URL, and keeping its secret to those who need it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from api.commands.options import environment_of
from api.prepared import is_prepared
from api.preparing import first_token, prepare
from api.settings import Settings
from api.wiring import open_database, open_seal, open_store
from artifacts.clock import SystemClock
from artifacts.errors import InvalidInputError
from artifacts.layout import Key
from artifacts.queries import tokens
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.s3_store import S3Store
from artifacts.tokens import Tokens
from tests.fakes.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, a_fake_s3


def test_without_a_url_objects_lie_in_the_data_folder(tmp_path: Path) -> None:
    store = open_store(Settings(data=tmp_path / "my data"))
    assert isinstance(store, DirectoryStore)
    assert (tmp_path / "my data" / "objects" / "staging").is_dir()
    store.close()


def test_a_file_url_names_another_folder(tmp_path: Path) -> None:
    store = open_store(Settings(data=tmp_path, store_url=(tmp_path / "elsewhere ü").as_uri()))
    assert isinstance(store, DirectoryStore)
    assert (tmp_path / "elsewhere ü" / "staging").is_dir()
    store.close()


def test_a_seal_key_that_is_named_must_be_there_and_is_never_made(tmp_path: Path) -> None:
    named = Settings(data=tmp_path, seal_key_file=tmp_path / "mounted" / "seal.key")
    with pytest.raises(InvalidInputError, match="there is no seal key"):
        open_seal(named)
    assert not (tmp_path / "mounted").exists()
    made = open_seal(Settings(data=tmp_path))
    (tmp_path / "mounted").mkdir()
    (tmp_path / "seal.key").rename(tmp_path / "mounted" / "seal.key")
    assert open_seal(named) == made


@pytest.mark.parametrize("sse", ["AES256", "aws:kms", "aws:kms:arn-of-a-key"])
async def test_an_s3_url_names_bucket_and_prefix_and_objects_are_written_as_the_settings_say(
    tmp_path: Path, sse: str
) -> None:
    with a_fake_s3(locks=True) as fake:
        settings = Settings(
            data=tmp_path,
            store_url=f"s3://{BUCKET}/a/prefix",
            s3_endpoint=fake.endpoint,
            s3_access_key=ACCESS_KEY,
            s3_secret_key=SecretStr(SECRET_KEY),
            s3_sse=sse,
            s3_object_lock_days=3,
        )
        store = open_store(settings)
        assert isinstance(store, S3Store)
        await store.put(Key("projects/one"), b"content")
        headers = fake.shelf.objects["a/prefix/projects/one"].headers
        assert headers["x-amz-server-side-encryption"] == sse[:7].removesuffix(":")
        assert headers.get("x-amz-server-side-encryption-aws-kms-key-id") == (sse[8:] or None)
        assert headers["x-amz-object-lock-mode"] == "GOVERNANCE"
        await store.put(Key("staging/one"), b"content")
        assert "x-amz-object-lock-mode" not in fake.shelf.objects["a/prefix/staging/one"].headers
        assert store.presign_get(Key("projects/one"), seconds=10) is None, "no public endpoint is set"
        store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": "what?cache=shared"},
        {"store_url": "bucket/prefix"},
        {"store_url": "file://folder"},
        {"store_url": "s3://user:secret@bucket"},
        {"s3_endpoint": "ftp://host"},
        {"s3_endpoint": "https://user:secret@host"},
        {"s3_access_key": "only one"},
        {"s3_sse": "rot13"},
        {"s3_object_lock_days": -1},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


async def test_a_folder_with_signs_of_its_own_holds_the_index(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "50% of #1 & more")
    assert not is_prepared(settings)
    await prepare(settings)
    assert is_prepared(settings)
    assert (settings.data / "index" / "custody.db").exists()


async def test_a_start_with_a_revoked_first_token_journals_nothing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    await prepare(settings)
    database, store = open_database(settings), open_store(settings)
    async with database.reading() as connection:
        first = await tokens.find_token(connection, tokens.hashed(first_token(settings.token_file)))
    assert first is not None
    await Tokens(database, store, SystemClock(), open_seal(settings)).revoke("default", first.id)
    await database.close()
    before = sorted((tmp_path / "objects").rglob("*.ndjson"))
    await prepare(settings)
    assert sorted((tmp_path / "objects").rglob("*.ndjson")) == before
    assert len(before) == 2


def test_a_scheme_that_nothing_knows_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        open_store(Settings(data=tmp_path, store_url="gopher://hole"))


def test_the_secret_reaches_the_child_processes_and_no_text() -> None:
    settings = Settings(s3_access_key="AK", s3_secret_key=SecretStr("very secret"))
    assert "very secret" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert environment_of(settings)["CUSTODY_S3_SECRET_KEY"] == "very secret"
