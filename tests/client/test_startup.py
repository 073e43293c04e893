"""Start-up is paid in every step, so nothing is loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "asyncio",
    "cryptography",
    "dataclasses",
    "email",
    "hashlib",
    "http",
    "inspect",
    "json",
    "rich",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "tomllib",
    "typing",
    "urllib",
    "zstandard",
)


def loaded_by(code: str) -> set[str]:
    # -S and -I: what the environment's own start-up files load is not ours to answer for.
    source = json.dumps([path for path in sys.path if path])
    script = f"import sys; before = set(sys.modules); sys.path[:] = {source}\n{code}"
    script += "\nsys.stderr.write('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-ISc", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stderr.split("\n"))


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def test_help_loads_nothing_heavy() -> None:
    code = "from custody.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    found = tops(loaded_by(code))
    assert "argparse" in found
    assert not found & set(HEAVY)


@pytest.mark.parametrize(
    "command", ["run", "put", "get", "verify", "trace", "digest", "completion", "ls", "diff", "cache"]
)
def test_the_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    code = f"from custody.__main__ import main\ntry: main(['{command}', '--help'])\nexcept SystemExit: pass"
    assert not tops(loaded_by(code)) & set(HEAVY)


def test_the_package_itself_loads_nothing() -> None:
    assert {module for module in loaded_by("import custody") if module.startswith("custody")} == {"custody"}
    assert not tops(loaded_by("import custody")) & {*HEAVY, "argparse", "re"}


def test_a_digest_needs_no_network_and_no_cryptography() -> None:
    code = f"from custody.__main__ import main\nmain(['digest', {__file__!r}])"
    assert not tops(loaded_by(code)) & {"ssl", "cryptography", "rich", "zstandard", "asyncio"}


def test_the_public_names_are_all_there() -> None:
    import custody

    assert all(getattr(custody, name) is not None for name in custody.__all__)
    assert callable(custody.step)
    with pytest.raises(AttributeError):
        _ = custody.nothing_of_the_kind
