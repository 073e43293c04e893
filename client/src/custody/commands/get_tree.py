"""`custody get` of a tree."""

from __future__ import annotations

import gc
import os
from argparse import Namespace
from collections.abc import Callable

from custody.references import Reference
from custody.terminal import plain, say
from custody.trees.fetching import fetch, late_source
from custody.trees.restore import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from custody.service import Service


def get_tree(remote: Callable[[], Service], wanted: Reference, chosen: Namespace) -> bool:
    """Restore `wanted` as the directory `chosen.target`; return False if it is no tree."""
    # The command ends after this one tree, and looking for circles in between would take as
    # long as reading its manifest.
    gc.disable()
    found = late_source(lambda: remote().transport, os.environ)
    try:
        if not found.knows(wanted.hex):
            return False
        options = Options(
            replace=chosen.force,
            allow_outward_links=chosen.allow_outward_links,
            allow_git_names=chosen.allow_git_names,
        )
        manifest = fetch(found, wanted.hex, chosen.target, options)
    finally:
        found.close()
    if chosen.json:
        import json

        answer = {"digest": manifest.digest, "path": chosen.target, "size": manifest.size}
        say(json.dumps({**answer, "entries": len(manifest)}))
    else:
        say(f"{manifest.digest}  {plain(chosen.target)}")
    return True
