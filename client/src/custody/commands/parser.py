"""The parser that all commands share: quick to load, and brief when something is wrong."""

from __future__ import annotations

import argparse
import os

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and where to read more."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", _Formatter)
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)  # type: ignore[arg-type]  # handed through from add_parser as it is

    def error(self, message: str) -> NoReturn:
        """Complain in one line and exit as misused."""
        from custody.terminal import complain

        complain(message, hint=f"{self.prog} --help")
        raise SystemExit(exits.MISUSED)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are written."""

    def __init__(self, prog: str) -> None:
        # The width is found here, because argparse would load shutil and zlib to ask.
        super().__init__(prog, max_help_position=26, width=_width())


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return max(40, int(columns[:4]))
    try:
        return min(100, max(40, os.get_terminal_size(1).columns - 2))
    except OSError:
        return 100


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """Add what says where the service is. The token has no option: others could read it in `ps`."""
    parser.add_argument("--url", metavar="URL", help="the service (default: CUSTODY_URL)")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the option for results that programs read."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
