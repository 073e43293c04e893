"""Write the generated pages of docs/: `python -m scripts.pages`, or `make docs`."""

from pathlib import Path

from api.commands import parser as server_parser
from api.settings import Settings
from custody.__main__ import build_parser as client_parser
from scripts import cli_pages, limits_page, openapi_page, settings_page

DOCS = Path(__file__).resolve().parents[1] / "docs"


def pages() -> dict[str, str]:
    """Return every generated page by its name in docs/."""
    return {
        "cli.md": cli_pages.page("custody", client_parser()),
        "server-cli.md": cli_pages.page("custody-server", server_parser()),
        "limits.md": limits_page.page(),
        "openapi.json": openapi_page.page(),
        "settings.md": settings_page.page(Settings),
    }


def main() -> None:
    """Write the pages that changed."""
    for name, text in pages().items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
