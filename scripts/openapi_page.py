"""The OpenAPI document as `docs/openapi.json` holds it."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from api.app import create_app
from api.settings import Settings
from api.wiring import build


def page() -> str:
    """Return the document, indented so that a difference can be read."""
    with TemporaryDirectory() as folder:
        app = create_app(build(Settings(data=Path(folder))))
        return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"
