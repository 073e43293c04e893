"""Provenance is a pure function of the record, and says no more than the record does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.digest import Digest, DigestSet
from artifacts.errors import EvidenceError, MalformedJsonError
from artifacts.records import Product, Record, Reported
from artifacts.refs import ArtifactRef, Evidence
from artifacts.steps import Outcome
from provenance import record_statement, slsa
from provenance.predicate import Provenance
from provenance.slsa import ClaimLabels, RecordLabels
from provenance.statement import Statement, matches
from provenance.writer import encode

URL = "https://custody.example"
BUILDER = f"{URL}/builders/local/v1"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
RECORD_DIGEST = Digest.of(b"the record")


def ref(name: str, uri: str | None = None, **rest: Any) -> ArtifactRef:
    return ArtifactRef(DigestSet.only(Digest.of(name.encode())), uri=uri, name=name, **rest)


SOURCE = ArtifactRef(
    DigestSet.parse({"gitCommit": "c" * 40}), uri="git+https://git.example/app@refs/heads/main"
)
MINIMAL = Record(
    project="default",
    run="01RUN",
    step="01STEP",
    name="build",
    principal="token:1",
    via="step",
    outcome=Outcome.SUCCEEDED,
    began_at=NOW,
    finished_at=NOW,
    outputs=(Product(ref("app.whl")),),
)
FULL = replace(
    MINIMAL,
    command=("make", "dist"),
    parameters={"target": "wheel", "fast": True},
    environment={"LANG": "C"},
    source=SOURCE,
    reported=Reported(
        began_at="2026-11-22T09:00:00.000Z", exit_status=0, client="custody/0.1", ci={"system": "tekton"}
    ),
    inputs=(ref("z", "pkg:pypi/z@1"), ref("a", "pkg:pypi/a@1", media_type="text/plain"), ref("passed")),
    outputs=(
        Product(ref("b.whl", annotations={"kind": "wheel"})),
        Product(ref("a.whl")),
        Product(ref("passed")),
    ),
    byproducts=(Product(ref("log.txt", media_type="text/plain")),),
)


def state(record: Record, labels: RecordLabels | None = None) -> Any:
    labels = labels or RecordLabels.reported(record)
    stated = slsa.statement(
        record, record_digest=RECORD_DIGEST, builder_id=BUILDER, public_url=URL, labels=labels
    )
    return json.loads(encode(stated))


def test_a_full_record_is_stated_member_by_member() -> None:
    reported = {"custody_integrity": "reported", "custody_role": "reported"}
    located = {**reported, "custody_origin": "reported"}

    def sha(name: str) -> dict[str, str]:
        return {"sha256": Digest.of(name.encode()).hex}

    assert state(FULL) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "a.whl", "digest": sha("a.whl"), "annotations": reported},
            {"name": "b.whl", "digest": sha("b.whl"), "annotations": {**reported, "kind": "wheel"}},
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{URL}/buildtypes/step/v1",
                "externalParameters": {
                    "step": "build",
                    "command": ["make", "dist"],
                    "parameters": {"target": "wheel", "fast": True},
                    "source": {"uri": SOURCE.uri, "digest": {"gitCommit": "c" * 40}},
                },
                "internalParameters": {"environment": {"LANG": "C"}, "client": "custody/0.1"},
                "resolvedDependencies": [
                    {"uri": SOURCE.uri, "digest": {"gitCommit": "c" * 40}, "annotations": located},
                    {"name": "passed", "digest": sha("passed"), "annotations": reported},
                    {
                        "name": "a",
                        "uri": "pkg:pypi/a@1",
                        "digest": sha("a"),
                        "mediaType": "text/plain",
                        "annotations": located,
                    },
                    {"name": "z", "uri": "pkg:pypi/z@1", "digest": sha("z"), "annotations": located},
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "metadata": {
                    "invocationId": "01STEP",
                    "startedOn": "2026-11-22T10:00:00.000Z",
                    "finishedOn": "2026-11-22T10:00:00.000Z",
                    "custody_run": "01RUN",
                    "custody_record": str(RECORD_DIGEST),
                    "custody_reported": {
                        "began_at": "2026-11-22T09:00:00.000Z",
                        "exit_status": 0,
                        "ci": {"system": "tekton"},
                    },
                },
                "byproducts": [
                    {
                        "name": "log.txt",
                        "digest": sha("log.txt"),
                        "mediaType": "text/plain",
                        "annotations": reported,
                    },
                    {"name": "passed", "digest": sha("passed"), "annotations": reported},
                ],
            },
        },
    }


def test_what_is_not_there_is_left_out_and_never_null() -> None:
    stated = state(MINIMAL)
    definition = stated["predicate"]["buildDefinition"]
    assert definition.keys() == {"buildType", "externalParameters"}
    assert definition["externalParameters"] == {"step": "build"}
    assert stated["predicate"]["runDetails"].keys() == {"builder", "metadata"}
    assert "null" not in json.dumps(stated)


def test_the_same_record_gives_the_same_bytes_in_any_order_of_members() -> None:
    shuffled = replace(FULL, parameters=dict(reversed(list(FULL.parameters.items()))))
    assert encode(state(FULL)) == encode(state(shuffled))


def test_what_is_stated_is_read_by_our_own_strict_reader() -> None:
    statement = Statement.parse(encode(state(FULL)))
    assert matches(statement, {"sha256": Digest.of(b"a.whl").hex})
    assert not matches(statement, {"sha256": Digest.of(b"passed").hex})
    provenance = Provenance.parse(statement.predicate)
    assert provenance.builder_id == BUILDER
    assert provenance.source is not None
    assert provenance.source.uri == SOURCE.uri


def test_each_claim_keeps_its_own_label() -> None:
    seen = ClaimLabels(Evidence.VERIFIED, Evidence.REPORTED, Evidence.OBSERVED)
    labels = replace(RecordLabels.reported(FULL), inputs=(seen,) * 3, source=seen, outputs=(seen,) * 3)
    stated = state(FULL, labels)
    plain = {"custody_integrity": "verified", "custody_role": "observed"}
    assert stated["subject"][0]["annotations"] == plain
    for dependency in stated["predicate"]["buildDefinition"]["resolvedDependencies"]:
        origin = {"custody_origin": "reported"} if "uri" in dependency else {}
        assert dependency["annotations"] == {**plain, **origin}


def test_labels_that_do_not_fit_the_record_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        state(FULL, RecordLabels.reported(MINIMAL))


def test_a_source_without_a_uri_is_stated_by_its_digest() -> None:
    record = replace(MINIMAL, source=ArtifactRef(DigestSet.parse({"gitCommit": "c" * 40})))
    external = state(record)["predicate"]["buildDefinition"]["externalParameters"]
    assert external["source"] == {"digest": {"gitCommit": "c" * 40}}


def test_subjects_have_only_digests_that_all_consumers_read() -> None:
    digests = {"sha256": "a" * 64, "sha512": "b" * 128, "sha3_256": "c" * 64, "gitBlob": "d" * 40}
    both = Product(ArtifactRef(DigestSet.parse(digests), name="x", media_type="text/plain"))
    git = Product(ArtifactRef(DigestSet.parse({"gitTree": "e" * 40}), name="tree"))
    stated = state(replace(MINIMAL, outputs=(both, git)))
    assert [subject["digest"] for subject in stated["subject"]] == [{"sha256": "a" * 64, "sha512": "b" * 128}]
    assert "mediaType" not in stated["subject"][0]
    assert [other["name"] for other in stated["predicate"]["runDetails"]["byproducts"]] == ["tree"]


def test_what_was_consumed_under_another_digest_is_no_subject() -> None:
    digests = {"sha256": "a" * 64, "sha512": "b" * 128}
    output = Product(ArtifactRef(DigestSet.parse(digests), name="x"))
    consumed = ArtifactRef(DigestSet.parse({"sha512": "b" * 128}))
    record = replace(MINIMAL, inputs=(consumed,), outputs=(output, *MINIMAL.outputs))
    assert [subject["name"] for subject in state(record)["subject"]] == ["app.whl"]


@pytest.mark.parametrize(
    "record",
    [
        replace(MINIMAL, outcome=Outcome.FAILED),
        replace(MINIMAL, outcome=Outcome.UNKNOWN),
        replace(MINIMAL, outputs=()),
        replace(MINIMAL, inputs=(ref("app.whl"),)),
        replace(MINIMAL, source=ref("app.whl")),
        replace(MINIMAL, outputs=(Product(SOURCE),)),
    ],
    ids=["failed", "unknown", "no output", "an input passed on", "the source passed on", "only a commit"],
)
def test_where_nothing_was_built_there_is_no_provenance(record: Record) -> None:
    assert not slsa.has_provenance(record)
    with pytest.raises(EvidenceError):
        state(record)


def test_where_something_was_built_there_is_provenance() -> None:
    assert slsa.has_provenance(MINIMAL)
    assert slsa.has_provenance(FULL)


LINE = b'{"outcome":"failed","outputs":[],"record":"custody/v1","step":"01STEP"}'


def test_a_record_is_stated_word_for_word_under_its_own_digest() -> None:
    stated = record_statement.statement(LINE, builder_id=BUILDER, public_url=URL)
    read = Statement.parse(encode(stated))
    assert read.predicate_type == f"{URL}/predicates/record/v1"
    assert read.predicate == {"record": json.loads(LINE), "builder": {"id": BUILDER}}
    assert read.subject[0].name == "record/01STEP"
    # Who holds the statement can check its subject: the record in it hashes to it.
    assert read.matching({"sha256": Digest.of(encode(read.predicate["record"])).hex})  # type: ignore[arg-type] # the line above showed it


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b'{"record":"custody/v2","step":"x"}', b'{"record":"custody/v1"}']
)
def test_what_is_no_record_is_not_stated(line: bytes) -> None:
    with pytest.raises(EvidenceError):
        record_statement.statement(line, builder_id=BUILDER, public_url=URL)
    with pytest.raises(MalformedJsonError):
        record_statement.statement(line + b"x", builder_id=BUILDER, public_url=URL)
