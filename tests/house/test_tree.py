"""Files stay small, names stay honest, nothing of one machine gets in."""

import ast
import re

import pytest

from tests.house.tree import ROOT, files, modules, texts

LINES = 400
GENERATED = ("requirements/", "docs/openapi.json")
VAGUE = re.compile(r"(?:^|_)(?:manager|helper|util|utils|handler|data|info|process)(?:_|$)")
WORD_IN_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MACHINE = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|Users/\w+|tmp|opt/wheels)(?=[/\s\"'`]|$)")
HOSTS = re.compile(r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d+){2,3}:\d+|\.(?:corp|intranet)\b")
SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b")
RULES = r"noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z0-9-]+(?:, ?[a-z0-9-]+)*\]"
EXPLAINED = re.compile(rf"#\s*(?:{RULES})\s+(?:#|-|:)\s+\S.{{7,}}")


def test_no_code_file_is_longer_than_a_reader_can_hold() -> None:
    long = {
        str(path): text.count("\n")
        for path, text in texts(".py", ".sh", "Makefile")
        if text.count("\n") > LINES
    }
    assert long == {}


def test_names_of_files_hold_no_spaces_and_nothing_a_shell_would_change() -> None:
    assert [str(path) for path in files() if not re.fullmatch(r"[A-Za-z0-9._/@+-]+", str(path))] == []


def test_no_class_or_function_is_called_by_an_empty_word() -> None:
    vague = [
        f"{path}:{node.lineno} {node.name}"
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not _names_a_test(node)
        and not _named_by_a_framework(node)
        and VAGUE.search(WORD_IN_CAMEL.sub("_", node.name).lower())
    ]
    assert vague == []


def _names_a_test(node: ast.AST) -> bool:
    """Tests are sentences, and sentences may say what data or a process does."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def _named_by_a_framework(node: ast.AST) -> bool:
    """The standard library and FastAPI call theirs so, and what overrides it has to."""
    if isinstance(node, ast.ClassDef):
        return any(ast.unparse(base).endswith("RequestHandler") for base in node.bases)
    return isinstance(node, ast.FunctionDef) and node.name in {"get_route_handler", "data_received"}


def test_every_suppressed_finding_names_its_rule_and_its_reason() -> None:
    silent = [
        f"{path}:{number}"
        for path, text in texts(".py")
        if path.name != "test_tree.py"
        for number, line in enumerate(text.splitlines(), 1)
        if SUPPRESSION.search(line) and not EXPLAINED.search(line)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("x = 1  # noqa", False),
        ("x = 1  # noqa: S310", False),
        ("x = 1  # noqa: S310, PLR0913", False),
        ("x = 1  # type: ignore", False),
        ("x = 1  # noqa: S310 - the address is ours", True),
        ("x = 1  # type: ignore[no-untyped-call]  # the library has no types", True),
    ],
)
def test_the_rule_about_reasons_tells_good_from_bad(line: str, explained: bool) -> None:
    assert SUPPRESSION.search(line)
    assert bool(EXPLAINED.search(line)) is explained


def test_nothing_names_a_path_or_host_of_one_machine() -> None:
    found = [
        f"{path}: {match[0]}"
        for path, text in texts("")
        if not str(path).startswith(GENERATED) and not path.is_relative_to("tests")
        for match in [*MACHINE.finditer(text), *HOSTS.finditer(text)]
    ]
    assert found == []


def test_the_lock_names_no_index_and_hashes_everything() -> None:
    lock = (ROOT / "requirements/dev.txt").read_text()
    assert not re.search(r"^--|://", lock, re.MULTILINE)
    for block in re.split(r"\n(?=\S)", lock.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert "## [Unreleased]" in lines
