"""A verifier that nobody here wrote accepts our bundles and refuses what was changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.digest import Digest
from provenance.record_statement import statement as record_statement
from provenance.signers.local import LocalSigner
from provenance.writer import encode
from tests.conformance import samples
from tests.conformance.implementations import BUILDER

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).parent / "sigstore_js"
Verifier = Callable[[bytes, bytes], subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def sigstore_js(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """The pinned sigstore-js, installed into a copy of its folder."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs node >= 20.17 and npm for the foreign verifier")
        pytest.skip("WARNING: node and npm are not here, so no foreign verifier looked at our bundles")
    folder = tmp_path_factory.mktemp("sigstore_js")
    for name in ("package.json", "package-lock.json", "verify.mjs"):
        shutil.copy(PROGRAM / name, folder)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(install, cwd=folder, check=True, timeout=100)

    def verify(bundle: bytes, pem: bytes) -> subprocess.CompletedProcess[bytes]:
        (folder / "bundle.json").write_bytes(bundle)
        (folder / "key.pem").write_bytes(pem)
        command = ["node", "verify.mjs", "bundle.json", "key.pem"]
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)

    return verify


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> LocalSigner:
    return LocalSigner.open_or_create(tmp_path_factory.mktemp("service") / "keys" / "signing.pem")


def test_our_bundle_is_accepted_and_its_payload_is_what_was_signed(
    sigstore_js: Verifier, signer: LocalSigner
) -> None:
    payload = encode(samples.statement())
    answer = sigstore_js(samples.bundle(signer, payload), samples.pem(signer))
    assert (answer.returncode, answer.stdout) == (0, payload), answer.stderr


def test_our_record_of_a_failure_is_accepted(sigstore_js: Verifier, signer: LocalSigner) -> None:
    line = b'{"outcome":"failed","record":"custody/v1","step":"01"}'
    payload = encode(record_statement(line, builder_id=BUILDER, public_url="https://custody.example"))
    answer = sigstore_js(samples.bundle(signer, payload), samples.pem(signer))
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["subject"][0]["digest"] == {"sha256": Digest.of(line).hex}


@pytest.mark.parametrize("member", ["payload", "payloadType"])
def test_a_tampered_bundle_is_refused(sigstore_js: Verifier, signer: LocalSigner, member: str) -> None:
    bundle = json.loads(samples.bundle(signer))
    bundle["dsseEnvelope"][member] = {"payload": "e30=", "payloadType": "application/json"}[member]
    answer = sigstore_js(json.dumps(bundle).encode(), samples.pem(signer))
    assert answer.returncode == 1
    assert b"signature verification failed" in answer.stderr


def test_another_key_is_refused(sigstore_js: Verifier, signer: LocalSigner) -> None:
    answer = sigstore_js(samples.bundle(signer), samples.pem(samples.new_signer()))
    assert answer.returncode == 1
    assert b"signature verification failed" in answer.stderr


def test_the_lock_file_pins_by_digest_and_names_no_registry() -> None:
    locked = json.loads((PROGRAM / "package-lock.json").read_text())["packages"]
    dependencies = [package for path, package in locked.items() if path]
    assert dependencies
    assert all("integrity" in package and "resolved" not in package for package in dependencies)
