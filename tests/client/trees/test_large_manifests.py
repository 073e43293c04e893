"""A million entries fit into the memory that a client command may take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


_LAYOUT = """
import os
from array import array
from custody.trees import layout
from custody.trees.manifest import build

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024

count, together = 1_000_000, 8_000
paths = [b"dir%03d/file-number-%07d.txt" % (number // 1000, number) for number in range(count)]
made = build(bytes(count), array("Q", [30]) * count, os.urandom(32) * count, paths)
lines = [b"custody-layout/v1 %b\\np %b 60000000\\n" % (made.sha256.encode(), b"a" * 64)]
for first in range(0, count, together):
    lines.append(b"r 0 %d 1000 %d\\n" % (first, 30 * together))
    lines.append(b"".join(b"%d %d\\n" % (first + at, 30 * at) for at in range(together)))
text = b"".join(lines)
del lines
before = peak()
assert len(layout.parse(text, made).frames) == count // together
print(peak() - before)
"""


def test_the_layout_of_a_million_entries_is_read_in_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LAYOUT], capture_output=True, text=True, check=True, timeout=100
    )
    # 168 while the regular expression kept what it could have given back.
    assert int(done.stdout) < 60


_COMMAND = """
import sys, tempfile
from pathlib import Path
from custody.capture.statcache import StatCache
from custody.trees.capture import Exactly, capture
from custody.trees.packing import pack

root, count = Path(sys.argv[1], "tree"), 100_000
for start in range(0, count, 1000):
    (root / f"d{start:06}").mkdir(parents=True)
    for number in range(start, start + 1000):
        (root / f"d{start:06}" / f"{number}").write_bytes(b"%d" % number)
taken = capture(root, leaving=Exactly(), cache=StatCache(), retain=96 << 20)
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as spool:
    packs = list(pack(str(root), taken.manifest, range(count), spool, contents=taken.contents))
assert sum(one.files for one in packs) == count and len(packs) >= 5
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_a_hundred_thousand_files_are_captured_and_packed_in_little_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    # 67 when this was written; a Python object for each file in a pack would be 20 more.
    assert int(done.stdout.split()[-1]) < 80
