"""What the service's verdict carries; how it is reached is tested in tests/conformance."""

from __future__ import annotations

import pytest

from artifacts.digest import Digest
from artifacts.refs import Evidence
from provenance.expectations import Check, Expectations
from provenance.keys import PublicKey
from provenance.verify import CheckedStatement, Refused, TrustedBuilder, Verified, verify
from tests.conformance import samples
from tests.conformance.implementations import BUILDER

SIGNER = samples.new_signer()
KEY = PublicKey.from_pem(samples.pem(SIGNER))
ARTIFACT = {"sha256": samples.ARTIFACT.hex}
PAIR = TrustedBuilder(KEY, BUILDER)


def _verify(*roots: TrustedBuilder, expectations: Expectations | None = None) -> Verified | Refused:
    return verify(
        samples.envelope(SIGNER, samples.statement()),
        roots=roots,
        artifact=ARTIFACT,
        expectations=expectations or Expectations(),
    )


def test_a_verdict_names_the_statement_the_signer_and_every_check() -> None:
    verdict = _verify(PAIR)
    assert isinstance(verdict, Verified)
    assert verdict.checked.builder == PAIR
    assert verdict.checked.subject.name == "app.whl"
    assert verdict.checked.payload == Digest.of(samples.envelope(SIGNER, samples.statement()).payload)
    assert [check.name for check in verdict.checks] == [
        "signature",
        "payload type",
        "statement",
        "subject",
        "predicate",
        "trusted builder",
        "level",
    ]


def test_nothing_can_be_verified_without_a_checked_statement() -> None:
    with pytest.raises(TypeError):
        Verified(checks=(Check("signature", ok=True, text=""),))  # type: ignore[call-arg] # the point of the test
    with pytest.raises(TypeError):
        CheckedStatement()  # type: ignore[call-arg] # the point of the test


def test_no_level_is_claimed_unless_the_roots_grant_one() -> None:
    levels = []
    for level in (None, 2):
        verdict = _verify(TrustedBuilder(KEY, BUILDER, level))
        levels.append(verdict.checks[-1].text)
    assert levels == ["no level claimed", "SLSA build level 2"]


def test_a_key_trusted_for_another_builder_says_nothing_for_this_one() -> None:
    other = TrustedBuilder(PublicKey.from_pem(samples.pem(samples.new_signer())), BUILDER)
    verdict = _verify(TrustedBuilder(KEY, "https://other.example/builder"), other)
    assert isinstance(verdict, Refused)
    assert verdict.checks[-1].name == "trusted builder"


def test_a_file_that_matches_by_sha1_alone_is_not_the_artifact() -> None:
    verdict = verify(
        samples.envelope(SIGNER, samples.statement(subject=[{"digest": {"sha1": "a" * 40}}])),
        roots=[PAIR],
        artifact={"sha1": "a" * 40, **ARTIFACT},
    )
    assert isinstance(verdict, Refused)
    assert verdict.checks[-1].name == "subject"


def test_parameters_count_as_far_as_their_builder_proves_them() -> None:
    expected = Expectations(parameters={"target": "wheel", "fast": True})
    assert isinstance(_verify(PAIR, expectations=expected), Refused)
    proves = TrustedBuilder(KEY, BUILDER, parameters_label=Evidence.VERIFIED)
    assert isinstance(_verify(proves, expectations=expected), Verified)
