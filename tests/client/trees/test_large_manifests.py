"""A million entries fit into the memory that a client command may take."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_SCRIPT = """
import os, sys
from array import array
from custody.trees.manifest import build, parse

count = 1_000_000
paths = [b"dir%03d/sub%d/file-number-%07d.txt" % (i % 700, i % 7, i) for i in range(count)]
paths.sort()
made = build(bytes(count), array("Q", [1000]) * count, os.urandom(32) * count, paths)
print(made.sha256)
if sys.argv[1] == "read":
    lines = list(made.lines())
    digest = made.sha256
    del made, paths
    assert parse(lines).sha256 == digest
# Not ru_maxrss: Linux hands the parent's peak on through exec.
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def _peak(what: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, what], capture_output=True, text=True, check=True, timeout=100
    )
    return int(done.stdout.split()[-1])


def test_a_manifest_of_a_million_entries_is_made_in_little_memory() -> None:
    assert _peak("make") < 300


def test_a_manifest_of_a_million_entries_is_read_in_little_memory() -> None:
    # The text itself, 130 MiB, is held by this test and not by a command.
    assert _peak("read") < 300 + 130
