"""`custody get` of a tree."""

from __future__ import annotations

import os
from argparse import Namespace

from custody.references import Reference
from custody.service import Service
from custody.terminal import plain, say
from custody.trees.fetching import fetch, source
from custody.trees.restore import Options


def get_tree(remote: Service, wanted: Reference, chosen: Namespace) -> bool:
    """Restore `wanted` as the directory `chosen.target`; return False if it is no tree."""
    found = source(remote.transport, os.environ)
    try:
        if not found.knows(wanted.hex):
            return False
        options = Options(replace=chosen.force, allow_outward_links=chosen.allow_outward_links)
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
