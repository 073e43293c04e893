"""Nothing verifies unless everything fits: one part exchanged, one byte changed, and it fails.

Threats S9, S10, S12 and S13. Both implementations follow the same numbered procedure.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from artifacts.digest import Digest
from provenance.record_statement import statement as record_statement
from provenance.writer import encode
from tests.conformance import samples
from tests.conformance.implementations import BUILDER, CLIENT, Implementation

SIGNER, OTHER = samples.new_signer(), samples.new_signer()
PEM = samples.pem(SIGNER)
ARTIFACT = str(samples.ARTIFACT)
REPORTED = {"minimum_label": "reported"}
EXPECTED = {
    **REPORTED,
    "source_uri": "git+https://git.example/team/app",
    "build_type": samples.BUILD_TYPE,
    "builder_id": BUILDER,
    "parameters": {"target": "wheel", "fast": True},
}


def _failed(side: Implementation, claim: object, expected: dict[str, Any] | None = None) -> frozenset[str]:
    raw = samples.bundle(SIGNER, json.dumps(claim).encode())
    outcome = side.verify(raw, [PEM], ARTIFACT, EXPECTED if expected is None else expected)
    assert outcome.verified is not bool(outcome.failed)
    return outcome.failed


def test_what_fits_is_verified(side: Implementation) -> None:
    assert not _failed(side, samples.statement())
    assert not _failed(side, samples.statement(), {})
    assert not _failed(side, samples.statement(), {**EXPECTED, "source_uri": samples.SOURCE})


# The swap matrix: every part, replaced by one that is valid elsewhere.
SWAPS = {
    "subject": samples.statement(subject=[{"name": "app.whl", "digest": {"sha256": "b" * 64}}]),
    "predicate": samples.statement(predicateType="https://slsa.dev/verification_summary/v1"),
    "statement": samples.statement(_type="https://in-toto.io/Statement/v0.1"),
    "source": samples.statement(
        predicate=samples.predicate(
            externalParameters={
                "step": "build",
                "parameters": {"target": "wheel", "fast": True},
                "source": {
                    "uri": "git+https://git.example/evil/app",
                    "digest": {"gitCommit": samples.COMMIT},
                },
            }
        )
    ),
    "build type": samples.statement(predicate=samples.predicate(buildType="https://other.example/v1")),
    "parameters": samples.statement(
        predicate=samples.predicate(
            externalParameters={
                **samples.predicate()["buildDefinition"]["externalParameters"],
                "parameters": {"target": "wheel", "fast": 1},
            }
        )
    ),
}


@pytest.mark.parametrize("part", SWAPS)
def test_a_part_that_is_valid_elsewhere_fails(side: Implementation, part: str) -> None:
    assert _failed(side, SWAPS[part]) == {part}


def test_another_builder_of_the_same_key_fails(side: Implementation) -> None:
    claim = samples.statement(predicate=samples.predicate(builder="https://other.example/builder"))
    assert _failed(side, claim) & {"trusted builder", "builder"}


def test_another_key_fails(side: Implementation) -> None:
    raw = samples.bundle(SIGNER)
    assert side.verify(raw, [samples.pem(OTHER)], ARTIFACT, EXPECTED).failed == {"signature"}
    assert side.verify(raw, [], ARTIFACT, EXPECTED).failed == {"signature"}
    assert side.verify(raw, [samples.pem(OTHER), PEM], ARTIFACT, EXPECTED).verified


def test_the_signature_of_another_statement_fails(side: Implementation) -> None:
    one = json.loads(samples.bundle(SIGNER))
    other = json.loads(samples.bundle(SIGNER, samples.statement(subject=[{"digest": {"sha256": "b" * 64}}])))
    one["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    assert side.verify(json.dumps(one).encode(), [PEM], f"sha256:{'b' * 64}", {}).failed == {"signature"}


def test_another_payload_type_fails_even_when_signed(side: Implementation) -> None:
    raw = samples.bundle(SIGNER, samples.statement(), "application/json")
    assert side.verify(raw, [PEM], ARTIFACT, {}).failed == {"payload type"}
    raw = samples.bundle(SIGNER, samples.statement(), "application/vnd.in-toto.provenance+json")
    assert side.verify(raw, [PEM], ARTIFACT, {}).verified


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"_type":"a","_type":"b"}', b"[" * 100_000])
def test_signed_nonsense_fails(side: Implementation, payload: bytes) -> None:
    assert side.verify(samples.bundle(SIGNER, payload), [PEM], ARTIFACT, {}).failed == {"statement"}


def test_a_signed_failure_is_not_provenance(side: Implementation) -> None:
    line = b'{"outcome":"failed","record":"custody/v1","step":"01"}'
    claim = record_statement(line, builder_id=BUILDER, public_url="https://custody.example")
    raw = samples.bundle(SIGNER, encode(claim))
    assert side.verify(raw, [PEM], str(Digest.of(line)), {}).failed == {"predicate"}


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        None,
        {"buildDefinition": {}, "runDetails": {}},
        {**samples.predicate(), "runDetails": {"builder": {"id": ""}}},
        samples.predicate(builder=1),  # type: ignore[arg-type] # what a stranger may send
        samples.predicate(buildType=""),
        samples.predicate(externalParameters=[]),
        samples.predicate(resolvedDependencies={"a": 1}),
        samples.predicate(resolvedDependencies=["x"]),
    ],
)
def test_a_malformed_predicate_fails(side: Implementation, predicate: object) -> None:
    assert _failed(side, samples.statement(predicate=predicate)) == {"predicate"}


def test_a_claim_counts_only_at_its_minimum_label(side: Implementation) -> None:
    for label, minimum, suffices in [
        ("reported", "reported", True),
        ("reported", "observed", False),
        ("observed", "observed", True),
        ("observed", "verified", False),
        ("verified", "verified", True),
        ("nonsense", "reported", False),
        (None, "reported", False),
        (["verified"], "reported", False),
    ]:
        claim = samples.statement(predicate=samples.predicate(label=label))
        failed = _failed(side, claim, {"source_uri": samples.SOURCE, "minimum_label": minimum})
        assert (not failed) is suffices, (label, minimum)


def test_the_default_minimum_is_verified(side: Implementation) -> None:
    expected = {"source_uri": samples.SOURCE, "parameters": {"target": "wheel", "fast": True}}
    assert _failed(side, samples.statement(), expected) == {"source", "parameters"}


@pytest.mark.parametrize(
    "source",
    [None, "git+https://git.example/team/app", {}, {"digest": {"gitCommit": samples.COMMIT}}, {"uri": 1}],
)
def test_a_source_that_is_not_stated_fails(side: Implementation, source: object) -> None:
    predicate = samples.predicate(externalParameters={"step": "build", "source": source})
    assert _failed(side, samples.statement(predicate=predicate), {"source_uri": samples.SOURCE}) == {"source"}


@pytest.mark.parametrize(
    "dependencies",
    [
        None,
        [],
        [
            {
                "uri": samples.SOURCE,
                "digest": {"gitCommit": "d" * 40},
                "annotations": {"custody_origin": "verified"},
            }
        ],
        [{"uri": samples.SOURCE, "annotations": {"custody_origin": "verified"}}],
        [{"uri": "git+https://x.example/y", "digest": {"gitCommit": samples.COMMIT}}],
        [{"uri": samples.SOURCE, "digest": {"gitCommit": samples.COMMIT}}],
    ],
)
def test_a_source_without_a_matching_labelled_dependency_fails(
    side: Implementation, dependencies: object
) -> None:
    claim = samples.statement(predicate=samples.predicate(resolvedDependencies=dependencies))
    assert _failed(side, claim, {**REPORTED, "source_uri": samples.SOURCE}) == {"source"}


@pytest.mark.parametrize(
    ("uri", "expected", "names"),
    [
        ("git+https://h/r@refs/heads/main", "git+https://h/r", True),
        ("git+https://h/r", "git+https://h/r", True),
        ("git+https://h/r-evil", "git+https://h/r", False),
        ("git+https://h@evil/r", "git+https://h", False),
        ("git+https://h/r@a", "git+https://h/r@b", False),
        ("git+https://h/r", "git+https://h/r@b", False),
    ],
)
def test_a_source_is_named_with_or_without_its_ref(
    side: Implementation, uri: str, expected: str, names: bool
) -> None:
    assert side.expectations.names_source(uri, expected) is names


def test_parameters_that_are_not_expected_fail(side: Implementation) -> None:
    for external in (
        {"parameters": {"target": "wheel"}},
        {"parameters": {"target": "wheel", "fast": True, "debug": True}},
        {"parameters": {"target": "wheel", "fast": "true"}},
        {},
        {"parameters": {"target": "wheel", "fast": True}, "surprise": 1},
    ):
        claim = samples.statement(predicate=samples.predicate(externalParameters=external))
        expected = {**REPORTED, "parameters": {"target": "wheel", "fast": True}}
        assert _failed(side, claim, expected) == {"parameters"}
    none = samples.statement(predicate=samples.predicate(externalParameters={"step": "x"}))
    assert not _failed(side, none, {**REPORTED, "parameters": {}})


@pytest.mark.parametrize(
    "given",
    [
        {"unknown": 1},
        {"source_uri": 1},
        {"source_uri": ""},
        {"builder_id": []},
        {"build_type": {}},
        {"parameters": []},
        {"parameters": "x"},
        {"minimum_label": "certain"},
        {"minimum_label": 1},
        {"minimum_label": []},
    ],
)
def test_an_expectation_that_cannot_be_checked_is_an_error(
    side: Implementation, given: dict[str, object]
) -> None:
    with pytest.raises(side.refused):
        side.expectations.Expectations.parse(given)


def _changes(raw: bytes) -> list[bytes]:
    """Every byte of `raw`, changed in each of three ways."""
    return [
        raw[:at] + bytes([raw[at] ^ mask]) + raw[at + 1 :]
        for at in range(len(raw))
        for mask in (1, 0x20, 0xFF)
    ]


def _accepted(side: Implementation, raw: bytes) -> bool:
    try:
        return side.verify(raw, [PEM], ARTIFACT, {}).verified
    except side.refused:
        return False


def _small(**changes: object) -> dict[str, Any]:
    return samples.statement(
        predicate={
            "buildDefinition": {"buildType": "t", "externalParameters": {"step": "x"}},
            "runDetails": {"builder": {"id": BUILDER}},
        },
        **changes,
    )


def _bare(**keyid: str) -> bytes:
    value = samples.envelope(SIGNER, encode(_small())).to_dict()
    value["signatures"] = [{"sig": value["signatures"][0]["sig"], **keyid}]  # type: ignore[index,call-overload] # JSON of our own making
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "raw",
    [
        samples.bundle(SIGNER, encode(_small())),
        samples.bundle(SIGNER, encode(_small(extra="y" * 50))),
        _bare(),
    ],
    ids=["bundle", "another bundle", "bare envelope"],
)
def test_no_changed_byte_is_accepted(side: Implementation, raw: bytes) -> None:
    assert _accepted(side, raw)
    assert sum(_accepted(side, changed) for changed in _changes(raw)) == 0


def test_a_changed_keyid_of_a_bare_envelope_changes_nothing(side: Implementation) -> None:
    assert _accepted(side, _bare(keyid=SIGNER.public_key.keyid))
    assert _accepted(side, _bare(keyid="anything"))


def test_a_line_that_fails_says_nothing_about_the_one_that_passes() -> None:
    good, bad = samples.bundle(SIGNER), samples.bundle(OTHER)
    for raw in (good + b"\n" + bad, bad + b"\n" + good):
        assert CLIENT.verify(raw, [PEM], ARTIFACT, {}).verified
    assert not CLIENT.verify(bad + b"\n" + bad, [PEM], ARTIFACT, {}).verified
