"""Whether objects below `control/` are what was written there."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from artifacts import layout
from artifacts.errors import CorruptedError
from artifacts.layout import Key
from provenance.attest import BUILDER
from provenance.bundle import Bundle
from provenance.control import statement
from provenance.published_keys import publish
from provenance.scrubbing import ControlCheck, control_check
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE, encode
from tests.control import a_tombstone
from tests.reindex.corpus import objects
from tests.service import PUBLIC_URL, Service

AT = datetime(2026, 11, 22, tzinfo=UTC)


async def signed(service: Service) -> tuple[Key, bytes]:
    """A removal, signed by a key that is published."""
    await publish(service.store, service.signer.public_key, builder_id=PUBLIC_URL + BUILDER, at=AT)
    removed = a_tombstone(b"gone")
    envelope = sealed(PAYLOAD_TYPE, encode(statement(removed, public_url=PUBLIC_URL)), service.signer)
    return layout.tombstone(removed.name), Bundle.of(envelope).to_bytes()


async def test_what_was_signed_is_right_under_its_own_name_alone(service: Service) -> None:
    key, content = await signed(service)
    check = await control_check(service.store)
    check(key, content)
    for other in (layout.tombstone(a_tombstone(b"gone", 2).name), Key("control/elsewhere")):
        with pytest.raises(CorruptedError, match="something else"):
            check(other, content)


async def test_what_is_written_otherwise_than_the_signer_writes_is_not_right(service: Service) -> None:
    key, content = await signed(service)
    check = await control_check(service.store)
    with pytest.raises(CorruptedError, match="as the signer writes"):
        check(key, orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2))
    (path,) = (objects(service) / "control/keys").iterdir()
    published = path.read_bytes()
    check(Key(f"control/keys/{path.name}"), published)
    with pytest.raises(CorruptedError, match="as this service writes"):
        check(Key(f"control/keys/{path.name}"), published + b"\n")
    with pytest.raises(CorruptedError, match="another name"):
        check(Key("control/keys/other.json"), published)


async def test_a_signature_is_judged_by_the_published_keys(service: Service) -> None:
    key, content = await signed(service)
    with pytest.raises(CorruptedError, match="trusted keys"):
        ControlCheck(frozenset())(key, content)


async def test_of_what_a_damaged_key_signed_the_signature_is_not_judged(service: Service) -> None:
    key, content = await signed(service)
    (path,) = (objects(service) / "control/keys").iterdir()
    path.chmod(0o600)
    path.write_bytes(b"no key")
    (await control_check(service.store))(key, content)
