"""Where `custody verify` takes keys and bundles from: files, or a service that is not trusted for either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from custody.errors import ContentError
from custody.evidence.errors import EvidenceError
from custody.evidence.keys import PublicKey
from custody.service import Service
from custody.wire import text

_MAX_FILE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys that count, and how they were chosen."""

    keys: tuple[PublicKey, ...]
    described: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One bundle as it came, and what it is called where it came from."""

    name: str
    content: bytes


def read_file(path: str) -> bytes:
    """Return what a small file holds.

    Raises:
        ContentError: It cannot be read, or is not small.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise ContentError(f"{path}: {error.strerror}") from error
    if len(content) > _MAX_FILE:
        raise ContentError(f"{path} is larger than {_MAX_FILE} bytes")
    return content


def key_from_file(path: str, pin: str | None) -> Trust:
    """Trust the key in a file, which must be the pinned one if there is a pin.

    Raises:
        ContentError: It is no key, or another one.
    """
    try:
        key = PublicKey.from_pem(read_file(path))
    except EvidenceError as error:
        raise ContentError(f"{path}: {error}", hint="--key takes a PEM public key") from error
    if pin is not None and key.keyid != pin:
        raise ContentError(f"{path} is not the pinned key: expected {pin}, found {key.keyid}")
    return Trust((key,), f"{key.keyid} (from {path})")


def key_with_pin(service: Service, pin: str) -> Trust:
    """Trust the key whose fingerprint is `pin`; the service may show it, but not choose it.

    Raises:
        ContentError: The service shows no such key.
    """
    shown: list[str] = []
    for claimed in service.public_keys():
        try:
            key = PublicKey.from_pem(text(claimed, "public_key").encode())
        except EvidenceError:
            continue
        if key.keyid == pin:
            return Trust((key,), f"{pin} (pinned)")
        shown.append(key.keyid)
    raise ContentError(
        f"the service shows no key with the pinned fingerprint: expected {pin}, found {', '.join(shown) or 'none'}",
        hint="give the key itself with --key, or ask the operator whether the key was changed",
    )


def bundle_from_file(path: str) -> list[Evidence]:
    """Return the evidence in a file."""
    return [Evidence(path, read_file(path))]


def bundles_from(service: Service, digest: str) -> list[Evidence]:
    """Return the evidence that the service keeps about `digest`."""
    found = [text(one, "digest") for one in service.attestations(digest)]
    return [Evidence(name, service.attestation(name)) for name in dict.fromkeys(found)]
