"""Lineage, drawn."""

from __future__ import annotations

import io

from custody.tree import draw

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def artifact(digest: str, name: str = "", uri: str = "") -> dict[str, object]:
    return {"digest": digest, "name": name, "uri": uri}


def made(name: str, inputs: list[object], outputs: list[object], *, signed: bool = True) -> dict[str, object]:
    attestations = [{"digest": A}] if signed else []
    return {
        "id": f"01{name.upper()}",
        "name": name,
        "outcome": "succeeded",
        "inputs": inputs,
        "outputs": outputs,
        "attestations": attestations,
    }


def drawn(lineage: dict[str, object]) -> str:
    return "\n".join(draw(lineage, stream=io.StringIO()))


def test_a_tree_goes_from_the_artifact_to_what_it_was_made_from() -> None:
    steps = [
        made(
            "wheel",
            [artifact(B, "app.tar.gz"), artifact(C, uri="git+https://example.com/app")],
            [artifact(A, "app.whl")],
        ),
        made(
            "sdist",
            [artifact(C, uri="git+https://example.com/app")],
            [artifact(B, "app.tar.gz")],
            signed=False,
        ),
    ]
    assert drawn({"root": A, "direction": "up", "steps": steps, "truncated": False}) == (
        f"{A}  app.whl\n"
        "└─ ✓ step wheel · succeeded · signed · 01WHEEL\n"
        f"   ├─ {B[:23]}…  app.tar.gz\n"
        "   │  └─ ✓ step sdist · succeeded · not signed · 01SDIST\n"
        f"   │     └─ {C[:23]}…  git+https://example.com/app\n"
        f"   └─ {C[:23]}…  git+https://example.com/app"
    )


def test_downwards_it_goes_to_what_was_made_from_it() -> None:
    steps = [made("train", [artifact(A, "data.csv")], [artifact(B, "model")])]
    shown = drawn({"root": A, "direction": "down", "steps": steps, "truncated": True})
    assert shown.splitlines()[0] == f"{A}  data.csv"
    assert f"└─ {B[:23]}…  model" in shown
    assert "--depth" in shown.splitlines()[-1]


def test_a_circle_is_drawn_once() -> None:
    steps = [made("one", [artifact(B)], [artifact(A)]), made("two", [artifact(A)], [artifact(B)])]
    shown = drawn({"root": A, "direction": "up", "steps": steps})
    assert shown.count("(shown above)") == 1


def test_a_step_with_one_digest_under_two_names_is_one_step() -> None:
    steps = [made("copy", [], [artifact(A, "x"), artifact(A, "y")])]
    assert drawn({"root": A, "direction": "up", "steps": steps}).count("step copy") == 1


def test_names_from_the_service_cannot_steer_the_terminal() -> None:
    steps = [made("\x1b[2Jx", [artifact(B, "\u202ey")], [artifact(A)])]
    shown = drawn({"root": A + "\x07", "direction": "up", "steps": steps})
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\x07" not in shown


def test_an_answer_of_the_wrong_shape_is_drawn_as_far_as_it_goes() -> None:
    assert drawn({"root": 7, "steps": [{"outputs": "x", "inputs": [3]}, None]}) == ""
