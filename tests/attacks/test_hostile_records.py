"""A record that the api made up is refused for ever, with a reason, and nothing is signed."""

from __future__ import annotations

import httpx2
import orjson
import pytest

from tests.attacks.actors import OpenStep, an_id, begin
from tests.attacks.hostile import assert_refused, members, plant, written
from tests.service import Service, reference

OUT = reference(b"wheel", name="x.whl")


def product(**more: object) -> dict[str, object]:
    return {"outputs": [{**OUT, **more}]}


CHANGES: dict[str, dict[str, object]] = {
    "unknown member": {"labels": {"x.whl": "verified"}},
    "builder": {"builder": {"id": "https://github.com/actions/runner"}},
    "tier": {"tier": "trusted"},
    "statement": {"statement": {"_type": "https://in-toto.io/Statement/v1"}},
    "label of a product": product(custody_integrity="verified"),
    "label of a claim": product(label="verified"),
    "reserved annotation": product(annotations={"custody_integrity": "verified"}),
    "reserved annotation in capitals": product(annotations={"custody_ROLE": "observed"}),
    "nested annotation": product(annotations={"a": {"custody_integrity": "verified"}}),
    "float annotation": product(annotations={"a": 1.5}),
    "reserved annotation of an input": {"inputs": [{**OUT, "annotations": {"custody_origin": "verified"}}]},
    "received input": {"inputs": [{**OUT, "received": True}]},
    "other project": {"project": "other"},
    "no project": {"project": ""},
    "project with a path": {"project": "../other"},
    "other step": {"step": "01K00000000000000000000000"},
    "malformed run": {"run": "../../x"},
    "other version": {"record": "custody/v2"},
    "other way in": {"via": "platform"},
    "excellent outcome": {"outcome": "excellent"},
    "step's own time": {"began_at": "2026-11-22T10:00:00+01:00"},
    "no time": {"finished_at": ""},
    "text as a number": {"reported": {"exit_status": "0"}},
    "unknown report": {"reported": {"verified": True}},
    "received as text": product(received="true"),
    "size as a float": product(size=1.5),
    "name with a path": {"outputs": [reference(b"x", name="../x")]},
    "name with a control character": {"outputs": [reference(b"x", name="x\x1b[2J")]},
    "output without a name": {"outputs": [reference(b"x")]},
    "output without a digest": {"outputs": [{"name": "x", "digest": {}}]},
    "malformed digest": {"outputs": [{"name": "x", "digest": {"sha256": "00"}}]},
    "two outputs of a name": {"outputs": [OUT, reference(b"other", name="x.whl")]},
    "too many outputs": {"outputs": [reference(b"%d" % n, name=f"f{n}") for n in range(1001)]},
    "float parameter": {"parameters": {"x": 0.1}},
    "object parameter": {"parameters": {"x": {"y": 1}}},
    "huge integer": {"parameters": {"x": 2**60}},
    "malformed uri": {"inputs": [reference(b"x", uri="no uri at all")]},
    "long parameter": {"parameters": {"x": "p" * 70_000}},
    "over the top": {"environment": {f"e{n}": "v" * 60_000 for n in range(300)}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_record_that_breaks_its_format_is_refused(
    service: Service, client: httpx2.AsyncClient, change: dict[str, object]
) -> None:
    step = await begin(client)
    await plant(service, step, written(step, **{"outputs": [OUT], **change}))
    assert await assert_refused(service, step)


def duplicated(step: OpenStep) -> bytes:
    return written(step, outputs=[OUT]).replace(b'"via":"step"', b'"via":"record","via":"step"')


def not_a_number(step: OpenStep) -> bytes:
    return written(step, parameters={"x": 77777}).replace(b"77777", b"NaN")


def too_large(step: OpenStep) -> bytes:
    return written(step, parameters={"x": 77777}).replace(b"77777", b"1e999")


def surrogate(step: OpenStep) -> bytes:
    return written(step).replace(b'"build"', b'"\\ud800"')


def not_utf8(step: OpenStep) -> bytes:
    return written(step).replace(b'"build"', b'"\xff"')


def two_records(step: OpenStep) -> bytes:
    return written(step) + b"\n" + written(step, outcome="failed")


def a_list(step: OpenStep) -> bytes:
    return orjson.dumps([members(step)])


def nothing(_: OpenStep) -> bytes:
    return b""


def deep(_: OpenStep) -> bytes:
    return b"[" * 100_000


def marked(step: OpenStep) -> bytes:
    return b"\xef\xbb\xbf" + written(step)


def a_statement(_: OpenStep) -> bytes:
    return b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}'


@pytest.mark.parametrize(
    "line",
    [
        duplicated,
        not_a_number,
        too_large,
        surrogate,
        not_utf8,
        two_records,
        a_list,
        nothing,
        deep,
        marked,
        a_statement,
    ],
)
async def test_text_that_is_no_record_is_refused(
    service: Service, client: httpx2.AsyncClient, line: object
) -> None:
    assert callable(line)
    step = await begin(client)
    await plant(service, step, line(step))
    assert await assert_refused(service, step)


async def test_a_record_filed_under_another_step_is_refused(
    service: Service, client: httpx2.AsyncClient
) -> None:
    mine, other = await begin(client), OpenStep(an_id(), "")
    await plant(service, mine, written(other, outputs=[OUT]))
    assert "another step" in await assert_refused(service, mine)
