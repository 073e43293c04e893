"""One glob pattern as a function, without a regular expression where none is needed.

Compiling the default patterns as expressions would cost more than scanning a
small directory, and that price would be paid by every step.
"""

import re
from collections.abc import Callable

from custody.capture.globs import name_regex, path_regex

Matches = Callable[[str], object]

_SPECIAL = re.compile(r"[*?\[\\]")


def matcher(pattern: str, *, whole_path: bool, fold_case: bool = False) -> Matches:
    """Return a function that says whether a text, a whole path or one name, is what `pattern` means.

    Args:
        pattern: A gitignore pattern without its `!`, leading and trailing `/`.
        whole_path: Whether `/` separates names in it, and `**` spans them.
        fold_case: Whether letters match in either case; `pattern` is then lower case.
    """
    simple = _simple(pattern, whole_path=whole_path)
    if simple is None:
        return _compiled_late(pattern, whole_path=whole_path, fold_case=fold_case)
    return (lambda text: simple(text.lower())) if fold_case else simple


def _simple(pattern: str, *, whole_path: bool) -> Callable[[str], bool] | None:
    if not _SPECIAL.search(pattern):
        return pattern.__eq__
    if whole_path:
        return None
    if pattern[:1] == "*" and not _SPECIAL.search(pattern, 1):
        return lambda name: name.endswith(pattern[1:])
    if pattern[-1:] == "*" and not _SPECIAL.search(pattern[:-1]):
        return lambda name: name.startswith(pattern[:-1])
    return None


def _compiled_late(pattern: str, *, whole_path: bool, fold_case: bool) -> Matches:
    compiled: list[Matches] = []

    def matches(text: str) -> object:
        if not compiled:
            expression = path_regex(pattern) if whole_path else name_regex(pattern)
            flags = re.DOTALL | (re.IGNORECASE if fold_case else 0)
            compiled.append(re.compile(expression, flags).fullmatch)
        return compiled[0](text)

    return matches
