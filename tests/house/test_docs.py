"""Documentation is code: what it names exists, and what exists is named."""

import ast
import json
import re
from pathlib import Path

import pytest

import artifacts.errors
import artifacts.limits
from scripts import limits_page
from scripts.pages import pages
from tests.house.tree import ROOT, headings, modules, read, texts

ADR_PARTS = ["Context", "Options", "Decision", "Consequences"]
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def _errors() -> list[type[artifacts.errors.CustodyError]]:
    found: list[type[artifacts.errors.CustodyError]] = [artifacts.errors.CustodyError]
    for error in found:
        found += error.__subclasses__()
    return found


def test_names_of_errors_end_in_error() -> None:
    misnamed = [
        f"{path}:{node.lineno} {node.name}"
        for path, module in modules()
        if not path.is_relative_to("tests")
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and not node.name.endswith("Error")
        for base in node.bases
        if ast.unparse(base).endswith(("Error", "Exception"))
    ]
    assert misnamed == []


def test_every_error_has_a_slug_and_a_title_of_its_own() -> None:
    for error in _errors():
        assert {"slug", "title"} <= set(vars(error)), error.__name__
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", error.slug), error.__name__
    slugs = [error.slug for error in _errors()]
    assert len(slugs) == len(set(slugs))


def test_every_error_has_its_heading() -> None:
    missing = {error.slug for error in _errors()} - headings("docs/problems.md")
    assert missing == set()


def test_every_route_has_its_heading() -> None:
    routes = json.loads(read("docs/openapi.json"))["paths"]
    told = {_shape(part) for heading in headings("docs/http.md") for part in _paths(heading)}
    assert {path for path in routes if _shape(path) not in told} == set()


def _paths(heading: str) -> list[str]:
    return re.findall(r"/[^\s,?]+", heading)


def _shape(path: str) -> str:
    """Make two spellings of one path equal: parameters may be called differently."""
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("name", ["cli.md", "server-cli.md", "limits.md", "openapi.json", "settings.md"])
def test_a_generated_page_is_current(name: str) -> None:
    assert read(f"docs/{name}") == pages()[name], "run make docs"


def test_every_setting_is_explained() -> None:
    from api.settings import Settings

    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_limit_is_documented_with_what_it_gives() -> None:
    named = {name for name in vars(artifacts.limits) if name.isupper()} - {"KIB", "MIB"}
    assert {name for name in named if f"| `{name}` |" not in read("docs/limits.md")} == set()
    slugs = {slug for gives in limits_page.GIVES.values() for slug in re.findall(r"`([a-z-]+)` \(", gives)}
    assert slugs <= {error.slug for error in _errors()}


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{path}: {link}"
        for path, text in texts(".md")
        for link in LINK.findall(text)
        if not (ROOT / path.parent / link).exists()
    ]
    assert broken == []


def test_every_make_command_in_the_pages_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    named = {
        target
        for page in ("README.md", "CONTRIBUTING.md")
        for block in FENCE.findall(read(page))
        for line in block.splitlines()
        if not line.startswith("custody run")
        for target in TARGET.findall(line.partition("#")[0])
    }
    assert {"demo", "test", "check"} <= named
    assert named - targets == set()


def test_every_command_in_the_readme_exists() -> None:
    known = headings("docs/cli.md") | headings("docs/server-cli.md")
    lines = [line for block in FENCE.findall(read("README.md")) for line in block.splitlines()]
    named = {match[0] for line in lines for match in re.finditer(r"\bcustody(?:-server)? [a-z]+", line)}
    assert {"custody run", "custody-server serve"} <= named
    assert named - known == set()


@pytest.mark.parametrize("page", ["promises.md", "reliability.md"])
def test_tests_that_a_page_names_exist(page: str) -> None:
    absent = [
        f"{path}::{name}"
        for path, name in TEST_ID.findall(read(f"docs/{page}"))
        if not _holds(ROOT / path, name)
    ]
    assert absent == []


def _holds(path: Path, name: str) -> bool:
    if not path.is_file():
        return False
    if not name:
        return True
    return any(getattr(node, "name", None) == name for node in ast.walk(ast.parse(path.read_text())))


def test_every_promise_has_a_test_or_says_what_it_comes_with() -> None:
    rows = [line for line in read("docs/promises.md").splitlines() if re.match(r"\| \d+ ", line)]
    assert [int(row.split()[1]) for row in rows] == list(range(1, 14))
    bare = [row for row in rows if not TEST_ID.search(row) and "comes with *" not in row]
    assert bare == []


def test_decisions_are_numbered_and_complete() -> None:
    pages_ = sorted((ROOT / "docs/adr").glob("*.md"))
    assert [page.name[:4] for page in pages_] == [f"{number:04}" for number in range(len(pages_))]
    for page in pages_:
        parts = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert parts == ADR_PARTS, page.name
        assert page.read_text().startswith(f"# {page.name[:4] if page.name[:4] != '0000' else 'NNNN'}: ")
