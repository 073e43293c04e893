"""`custody put` of a directory."""

from __future__ import annotations

import json
import os
from argparse import Namespace

from custody import exits
from custody.commands.access import service, settings
from custody.output_names import output_name
from custody.references import check_uri
from custody.service import Service
from custody.terminal import plain, say
from custody.trees.keeping import RETAINED, captured, send
from custody.trees.manifest import MEDIA_TYPE
from custody.trees.upload import Sent
from custody.wire import Document


def put_tree(chosen: Namespace) -> int:
    """Capture and upload one directory, and print the digest of the tree."""
    if chosen.uri is not None:
        check_uri(chosen.uri)
    found = settings(chosen)
    wishes = {"ignore": chosen.ignore, "allow_secrets": chosen.allow_secrets}
    taken = captured(chosen.path, os.environ, **wishes, retain=RETAINED)
    with service(found) as remote:
        sent = send(remote.transport, taken)
        _record(remote, found.step, chosen, sent)
    manifest = taken.manifest
    if chosen.json:
        answer: Document = {"digest": manifest.digest, "path": chosen.path, "size": manifest.size}
        answer |= {"entries": len(manifest), "sent": sent.size, "uri": chosen.uri}
        say(json.dumps(answer))
    else:
        say(f"{plain(manifest.digest)}  {plain(chosen.path)}")
    return exits.OK


def _record(remote: Service, step: str | None, chosen: Namespace, sent: Sent) -> None:
    """Say whose output the tree is, or what URI names it."""
    reference: Document = {"digest": {"sha256": sent.digest.partition(":")[2]}, "mediaType": MEDIA_TYPE}
    if chosen.uri is not None:
        reference["uri"] = chosen.uri
    if step is not None:
        remote.add_outputs(step, [{**reference, "name": output_name(chosen.path)}])
    elif chosen.uri is not None:
        remote.record({**reference, "name": os.path.basename(os.path.abspath(chosen.path))})  # noqa: PTH100, PTH119 - stays text
