"""Manifests that no writer of ours makes. Each breaks one rule of the format."""

from __future__ import annotations

from tests.client.trees.trees_at_hand import file, folder, link, manifest_of

_SHA = "a" * 64
_ONE = file("a", b"1").line()


def _raw(*lines: str) -> bytes:
    return b"custody-tree/v1\n" + "".join(f"{line}\n" for line in lines).encode()


def _path(written: str | bytes) -> bytes:
    return manifest_of([file(written)])


PATHS: dict[str, str | bytes] = {
    "an absolute path": "/etc/passwd",
    "a path above": "../x",
    "a path above, further down": "a/../../x",
    "a path that goes up and down": "a/../b",
    "two dots alone": "..",
    "two dots at the end": "a/..",
    "one dot alone": ".",
    "one dot at the front": "./a",
    "one dot inside": "a/./b",
    "one dot at the end": "a/.",
    "an empty part": "a//b",
    "a slash at the end": "a/",
    "a slash alone": "/",
    "two slashes at the front": "//a",
    "an escaped slash": "a%2Fb",
    "escaped dots": "%2E%2E/x",
    "an escaped dot": "%2e",
    "a NUL": "a%00b",
    "a NUL alone": "%00",
    "lower case escapes": "a%0a",
    "a needless escape": "%61",
    "a needless escape of a tilde": "a%7E",
    "a bare percent sign": "100%",
    "a percent sign before no digits": "a%ZZ",
    "half an escape": "a%2",
    "a raw space": "a b",
    "a raw tab": "a\tb",
    "a raw escape character": "a\x1b[2J",
    "a raw delete": "a\x7f",
    "a raw byte": b"a\xff",
    "raw UTF-8": "ä",
    "a raw NUL": b"a\0b",
    "a carriage return": "a\r",
    "a part that is too long": "n" * 256,
    "a part that is too long, escaped": "%FF" * 256,
    "a path that is too long": "/".join(["n" * 200] * 21),
    "no path": "",
}

TEXTS = {
    "nothing": b"",
    "another format": b"custody-tree/v2\n" + _ONE,
    "no header": _ONE,
    "half a header": b"custody-tree",
    "a header with a carriage return": b"custody-tree/v1\r\n" + _ONE,
    "a byte order mark": b"\xef\xbb\xbfcustody-tree/v1\n" + _ONE,
    "no final newline": b"custody-tree/v1\n" + _ONE[:-1],
    "an empty line": b"custody-tree/v1\n\n" + _ONE,
    "an empty line at the end": b"custody-tree/v1\n" + _ONE + b"\n",
    "a comment": b"custody-tree/v1\n# hello\n" + _ONE,
    "two spaces": _raw(f"644 f  {_SHA} 1 a"),
    "a space at the end": _raw(f"644 f {_SHA} 1 a "),
    "a setuid bit": _raw(f"4755 f {_SHA} 1 a"),
    "a mode open to all": _raw(f"666 f {_SHA} 1 a"),
    "an unknown mode": _raw(f"600 f {_SHA} 1 a"),
    "a mode of git": _raw(f"100644 f {_SHA} 1 a"),
    "an executable link": _raw(f"755 l {_SHA} 1 a"),
    "a link with the mode of a file": _raw(f"644 l {_SHA} 1 a"),
    "a file with the mode of a link": _raw(f"777 f {_SHA} 1 a"),
    "a device": _raw(f"644 c {_SHA} 1 a"),
    "a block device": _raw(f"644 b {_SHA} 1 a"),
    "a pipe": _raw(f"644 p {_SHA} 0 a"),
    "a socket": _raw(f"644 s {_SHA} 0 a"),
    "a hard link": _raw(f"644 h {_SHA} 1 a"),
    "an upper case digest": _raw(f"644 f {'A' * 64} 1 a"),
    "a short digest": _raw(f"644 f {'a' * 63} 1 a"),
    "a long digest": _raw(f"644 f {'a' * 65} 1 a"),
    "a digest with its name": _raw(f"644 f sha256:{_SHA} 1 a"),
    "a file without a digest": _raw("644 f - 0 a"),
    "a directory with a digest": _raw(f"755 d {_SHA} 0 a"),
    "a directory with a size": _raw("755 d - 1 a"),
    "a directory with another mode": _raw("700 d - 0 a"),
    "a negative size": _raw(f"644 f {_SHA} -1 a"),
    "a size with a plus": _raw(f"644 f {_SHA} +1 a"),
    "a size with a zero in front": _raw(f"644 f {_SHA} 01 a"),
    "a size in hex": _raw(f"644 f {_SHA} 0x1 a"),
    "a size with an underscore": _raw(f"644 f {_SHA} 1_0 a"),
    "a size beyond all numbers": _raw(f"644 f {_SHA} {10**15} a"),
    "an empty link": _raw(f"777 l {_SHA} 0 a"),
    "a link that is too long": _raw(f"777 l {_SHA} 4096 a"),
    "the same path twice": manifest_of([file("a"), file("a")], ordered=False),
    "a file and a link of one name": manifest_of([file("a"), link("a", "b")], ordered=False),
    "out of order": manifest_of([file("b"), file("a")], ordered=False),
    # The raw paths are `a!` and `a `: as bytes the blank comes first.
    "ordered by what is written": manifest_of([file("a!"), file("a%20")], ordered=False),
    "a path below a file": manifest_of([file("a"), file("a/b")]),
    "a path far below a file": manifest_of([file("a"), file("a!b"), file("a/b/c/d")]),
    "a path below a link": manifest_of([link("a", "/etc"), file("a/passwd")]),
    "a path below a link that leads inside": manifest_of([link("a", "b"), file("a/c"), folder("b")]),
    "a path below an empty directory": manifest_of([folder("a"), file("a/b")]),
    "a directory below a file": manifest_of([file("a"), folder("a/b")]),
}

EVIL: dict[str, bytes] = {**{name: _path(written) for name, written in PATHS.items()}, **TEXTS}
