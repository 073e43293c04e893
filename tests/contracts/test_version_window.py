"""The service keeps answering what older clients ask: the wire of a release is recorded, and nothing of it goes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.version import HEADER, OLDEST_CLIENT, VERSION
from custody.versions import outside

_ROOT = Path(__file__).parents[2]
_BOUNDS = {
    "maxLength": max,
    "maxItems": max,
    "maximum": max,
    "minLength": min,
    "minItems": min,
    "minimum": min,
}
Schema = dict[str, Any]  # Any: JSON


def current() -> Schema:
    return json.loads((_ROOT / "docs" / "openapi.json").read_text())  # type: ignore[no-any-return]  # JSON has no types


def recorded() -> dict[str, Schema]:
    """The documents of the releases that are still served, by version."""
    return {
        path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "wire").glob("*.json")
    }


class Comparison:
    """What a client of `old` meets at a service of `new`."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self.old, self.new = old, new
        self.seen: set[tuple[str, str, bool]] = set()

    def broken(self) -> list[str]:
        """Everything that was promised and is no more."""
        told: list[str] = []
        for path, operations in self.old["paths"].items():
            for method, operation in operations.items():
                now = self.new["paths"].get(path, {}).get(method)
                name = f"{method.upper()} {path}"
                told += [f"{name}: gone"] if now is None else self._operation(name, operation, now)
        return told

    def _operation(self, name: str, was: Schema, now: Schema) -> Iterator[str]:
        known = {(one["name"], one["in"]): one for one in now.get("parameters", ())}
        asked = {(one["name"], one["in"]): one for one in was.get("parameters", ())}
        yield from (f"{name}: no parameter {key[0]}" for key in asked.keys() - known.keys())
        for key, one in known.items():
            if one.get("required") and not asked.get(key, {}).get("required"):
                yield f"{name}: wants the parameter {key[0]}"
        yield from self._body(name, was.get("requestBody", {}), now.get("requestBody", {}))
        for status, answer in was["responses"].items():
            if status not in now["responses"]:
                yield f"{name}: no longer answers {status}"
                continue
            for kind, content in answer.get("content", {}).items():
                after = now["responses"][status].get("content", {}).get(kind)
                if after is None:
                    yield f"{name}: no longer answers {kind}"
                else:
                    yield from self._schema(
                        f"{name} answers", content.get("schema", {}), after.get("schema", {}), sent=False
                    )

    def _body(self, name: str, was: Schema, now: Schema) -> Iterator[str]:
        if now.get("required") and not was.get("required"):
            yield f"{name}: wants a body"
        for kind, content in was.get("content", {}).items():
            after = now.get("content", {}).get(kind)
            if after is None:
                yield f"{name}: takes no {kind}"
            else:
                yield from self._schema(
                    f"{name} takes", content.get("schema", {}), after.get("schema", {}), sent=True
                )

    def _schema(self, where: str, was: Schema, now: Schema, *, sent: bool) -> Iterator[str]:
        pair = (was.get("$ref", where), now.get("$ref", where), sent)
        if "$ref" in was and pair in self.seen:
            return
        self.seen.add(pair)
        was, now = _resolved(was, self.old), _resolved(now, self.new)
        # What is sent has to be taken still; what is answered has to be what was expected.
        narrow, wide = (was, now) if sent else (now, was)
        if lost := _kinds(narrow) - _kinds(wide):
            yield f"{where}: {sorted(lost)} {'is not taken' if sent else 'is new'}"
        if sent:
            yield from (f"{where}: {name} is tighter" for name in _tighter(was, now))
        yield from self._members(where, was, now, sent=sent)
        for one, other in zip(_parts(was), _parts(now), strict=False):
            yield from self._schema(f"{where}[]", one, other, sent=sent)

    def _members(self, where: str, was: Schema, now: Schema, *, sent: bool) -> Iterator[str]:
        before, after = was.get("properties", {}), now.get("properties", {})
        yield from (f"{where}: no member {name}" for name in before.keys() - after.keys())
        needed, given = set(was.get("required", ())), set(now.get("required", ()))
        missing = given - needed if sent else needed - given
        yield from (
            f"{where}: the member {name} {'is wanted' if sent else 'may be absent'}" for name in missing
        )
        for name in before.keys() & after.keys():
            yield from self._schema(f"{where}.{name}", before[name], after[name], sent=sent)


def _resolved(schema: Schema, document: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _kinds(schema: Schema) -> set[str]:
    """The types and words that a schema lets through, as far as it says so itself."""
    if "anyOf" in schema:
        return {str(one.get("type", one.get("$ref", "any"))) for one in schema["anyOf"]}
    words = {f"={one}" for one in schema.get("enum", [])} | (
        {f"={schema['const']}"} if "const" in schema else set()
    )
    return words or {str(schema.get("type", "any"))}


def _parts(schema: Schema) -> list[Schema]:
    """What lies below that is no member: items, further members, the one thing beside null."""
    below = [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    choices = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    return below + (choices if len(choices) == 1 else [])


def _tighter(was: Schema, now: Schema) -> list[str]:
    return [
        name
        for name, looser in _BOUNDS.items()
        if name in now and (name not in was or looser(was[name], now[name]) != now[name])
    ]


@pytest.mark.parametrize("version", sorted(recorded()))
def test_a_client_of_a_recorded_release_is_answered_as_then(version: str) -> None:
    assert Comparison(recorded()[version], current()).broken() == []


def test_the_release_of_the_oldest_client_is_recorded() -> None:
    assert OLDEST_CLIENT in recorded()


def _without_a_path(document: Schema) -> None:
    del document["paths"]["/v1/runs"]


def _with_a_wanted_member(document: Schema) -> None:
    document["components"]["schemas"]["RunBody"].setdefault("required", []).append("reason")
    document["components"]["schemas"]["RunBody"]["properties"]["reason"] = {"type": "string"}


def _without_a_member_sent(document: Schema) -> None:
    del document["components"]["schemas"]["StepBody"]["properties"]["source"]


def _without_a_member_answered(document: Schema) -> None:
    del document["components"]["schemas"]["RunAnswer"]["properties"]["began_at"]


def _with_an_answer_that_may_lack(document: Schema) -> None:
    document["components"]["schemas"]["RunAnswer"]["required"].remove("began_at")


def _with_another_type(document: Schema) -> None:
    document["components"]["schemas"]["RunAnswer"]["properties"]["began_at"] = {"type": "integer"}


def _with_a_wanted_parameter(document: Schema) -> None:
    (found,) = [
        one for one in document["paths"]["/v1/artifacts"]["get"]["parameters"] if one["name"] == "limit"
    ]
    found["required"] = True


def _with_fewer_words(document: Schema) -> None:
    document["components"]["schemas"]["Outcome"]["enum"].remove("unknown")


@pytest.mark.parametrize(
    "change",
    [
        _without_a_path,
        _with_a_wanted_member,
        _without_a_member_sent,
        _without_a_member_answered,
        _with_an_answer_that_may_lack,
        _with_another_type,
        _with_a_wanted_parameter,
        _with_fewer_words,
    ],
)
def test_a_change_that_would_break_an_older_client_is_noticed(change: Callable[[Schema], None]) -> None:
    old = recorded()[OLDEST_CLIENT]
    new = copy.deepcopy(old)
    assert Comparison(old, new).broken() == []
    change(new)
    assert Comparison(old, new).broken() != []


def test_what_may_be_added_is_no_break() -> None:
    old = recorded()[OLDEST_CLIENT]
    new = copy.deepcopy(old)
    new["paths"]["/v1/new"] = {"get": {"responses": {}}}
    new["components"]["schemas"]["RunBody"]["properties"]["note"] = {"type": "string"}
    new["components"]["schemas"]["RunAnswer"]["properties"]["note"] = {"type": "string"}
    assert Comparison(old, new).broken() == []


def test_client_and_service_of_one_tree_are_made_for_each_other() -> None:
    assert outside(HEADER, own=VERSION) is None
    assert outside(HEADER, own=OLDEST_CLIENT) is None
    assert outside(HEADER, own="0.0.9") is not None
