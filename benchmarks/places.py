"""Where a benchmark writes, what kind of file system that is, and what machine this is."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where a fresh folder is made


_ROOM = 6 << 30


def scratch() -> Path:
    """Memory where there is enough: file creation on ext4 right after a removal can be 20 times slower."""
    enough = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= _ROOM
    return MEMORY if enough else Path(tempfile.gettempdir())


def file_system(path: Path) -> str:
    """The type of the file system that `path` is on."""
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, at, kind, *_ = line.split()
        if path.resolve().is_relative_to(at) and len(at) >= len(found[0]):
            found = (at, kind)
    return found[1]


def machine() -> str:
    """Cores, processor, memory, kernel and interpreter; nothing that names this one machine."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    kernel = platform.release().partition("-")[0]
    return (
        f"{cores} cores of {_processor()}, {memory:.0f} GiB RAM, {platform.system()} {kernel}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
