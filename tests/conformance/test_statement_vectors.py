"""in-toto statements and digest sets, as the specification and its Go tests have them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from artifacts.digest import Digest
from tests.conformance import vectors as given
from tests.conformance.implementations import Implementation

pytestmark = pytest.mark.foreign_vectors
CASES = "spec-vectors/statement-cases.json"
DIGESTS = "spec-vectors/digest-set.json"


@pytest.mark.parametrize("case", given.cases(CASES))
def test_a_statement_is_read_or_refused_as_the_specification_says(
    side: Implementation, case: dict[str, Any]
) -> None:
    given.load(CASES)
    payload = json.dumps(case["statement"]).encode()
    if case["expect"] in {"valid", "valid-legacy"}:
        side.statement.Statement.parse(payload)
    else:
        assert case["expect"] in {"invalid", "invalid-strict"}
        with pytest.raises(side.refused):
            side.statement.Statement.parse(payload)


def test_an_unknown_algorithm_is_read_and_never_matches(side: Implementation) -> None:
    cases = {case["name"]: case for case in given.load(CASES)["cases"]}
    digest = cases["custom-digest-alg"]["statement"]["subject"][0]["digest"]
    assert not side.statement.digests_match(digest, digest)


def test_digest_sets_match_as_the_specification_says(side: Implementation) -> None:
    for case in given.load(DIGESTS)["match"]:
        assert side.statement.digests_match(case["a"], case["b"]) is case["expect"]


def test_a_git_blob_is_named_as_git_names_it() -> None:
    vector = given.load(DIGESTS)["gitBlob"]
    content = vector["content"].encode()
    named = hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
    assert str(Digest("gitBlob", named)) == f"gitBlob:{vector['expect']}"
