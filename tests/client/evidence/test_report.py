"""What the client's report carries; how it is reached is tested in tests/conformance."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from custody.evidence.errors import EvidenceError, InvalidExpectationError
from custody.evidence.expectations import Check, Expectations
from custody.evidence.keys import PublicKey
from custody.evidence.statement import Reference
from custody.evidence.verify import Outcome, Report, verify
from tests.conformance import samples

SIGNER, OTHER = samples.new_signer(), samples.new_signer()
KEY = PublicKey.from_pem(samples.pem(SIGNER))
ARTIFACT = str(samples.ARTIFACT)


def test_a_good_bundle_is_verified_line_by_line() -> None:
    report = verify(samples.bundle(SIGNER), keys=[KEY], artifact=ARTIFACT)
    assert report.verified
    assert report.outcome == "verified"
    assert report.signers == (KEY.keyid,)
    assert report.statement is not None
    assert report.statement.subjects[0].name == "app.whl"
    names = ["signature", "payload type", "statement", "subject", "predicate", "builder", "level"]
    assert [check.name for check in report.checks] == names


def test_without_a_pin_or_with_another_the_signer_is_unknown() -> None:
    for keys in ([], [PublicKey.from_pem(samples.pem(OTHER))]):
        report = verify(samples.bundle(SIGNER), keys=keys, artifact=ARTIFACT)
        assert report.outcome is Outcome.SIGNER_UNKNOWN
        assert report.statement is None
        assert not report.verified


def test_a_broken_signature_under_a_pinned_keyid_is_a_failure() -> None:
    bundle = json.loads(samples.bundle(SIGNER))
    bundle["dsseEnvelope"]["payload"] = "e30="
    report = verify(json.dumps(bundle).encode(), keys=[KEY], artifact=ARTIFACT)
    assert report.outcome is Outcome.FAILED


def test_a_broken_signature_without_a_keyid_is_a_failure() -> None:
    envelope = {"payload": "e30=", "payloadType": "t", "signatures": [{"sig": "QQ=="}]}
    assert verify(json.dumps(envelope).encode(), keys=[KEY], artifact=ARTIFACT).outcome is Outcome.FAILED


def test_where_no_artifact_is_named_nothing_is_verified() -> None:
    report = verify(samples.bundle(SIGNER), keys=[KEY], artifact=None)
    assert report.outcome is Outcome.FAILED
    assert report.checks[-1].name == "subject"
    assert report.statement is not None


def test_of_several_lines_the_one_that_came_furthest_is_reported() -> None:
    near = samples.bundle(SIGNER, samples.statement(predicateType="https://other.example/v1"))
    report = verify(samples.bundle(OTHER) + b"\n" + near, keys=[KEY], artifact=ARTIFACT)
    assert report.checks[-1].name == "predicate"


@pytest.mark.parametrize("artifact", ["", "sha256", ":", "sha256:", ":abc"])
def test_an_artifact_is_named_by_its_digest(artifact: str) -> None:
    with pytest.raises(EvidenceError):
        verify(samples.bundle(SIGNER), keys=[KEY], artifact=artifact)


def test_no_report_can_be_verified_without_a_statement() -> None:
    good, bad = Check("x", ok=True, text=""), Check("x", ok=False, text="")
    read = verify(samples.bundle(SIGNER), keys=[KEY], artifact=ARTIFACT).statement
    for checks, statement in (((good,), None), ((bad,), read)):
        with pytest.raises(ValueError, match="verified report"):
            Report(Outcome.VERIFIED, checks, statement)


def test_expectations_are_described_for_the_reader() -> None:
    assert Expectations().described() == ()
    given = Expectations(source_uri="git+https://h/r", parameters={"a": 1}, minimum_label="reported")
    assert given.described() == ("source git+https://h/r", 'parameters {"a": 1}', "each at least reported")


def test_an_unknown_label_is_an_error() -> None:
    with pytest.raises(InvalidExpectationError):
        Expectations(minimum_label="certain")


def test_a_reference_is_an_object_with_an_object_of_digests() -> None:
    for value in (None, {"digest": {"sha256": 1}}, {"digest": [], "name": "x"}, {"annotations": "x"}):
        with pytest.raises(EvidenceError):
            Reference.from_dict(value)  # type: ignore[arg-type] # JSON that mypy cannot see is JSON


def test_reading_evidence_brings_in_nothing_but_cryptography() -> None:
    program = (
        "import sys; import custody.evidence.verify; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    measured_by = {"coverage", "$coverage"}
    foreign = {name for name in out.split() if not name.startswith("_")} - measured_by
    assert foreign <= {"custody", "cryptography", "cffi"}, foreign


def test_naming_the_package_does_not_load_cryptography() -> None:
    program = "import sys; import custody.evidence, custody.strict_json; print('cryptography' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
