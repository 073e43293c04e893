"""`custody put`: keep a file or a directory, outside a step or as an output of the step around us."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from custody.contents import HashedFile
    from custody.service import Service

_DESCRIPTION = """\
Upload a file or a directory and print its digest. The service hashes what it receives
and refuses anything else. What it has already is not sent again.

A directory is kept as a tree: exactly what is in it, with links, executables and empty
directories. Sockets, pipes and devices are refused, and so is what looks like a secret
or a version control folder; --ignore leaves out what `custody run` would leave out.

Inside `custody run --give-token` it becomes an output of that step.
"""

_EPILOG = """\
examples:
  custody put data.csv
  custody put dataset/ --uri https://data.example.com/churn/2026-11
  custody put model.bin --uri https://models.example.com/churn/7/model.bin
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("put", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--uri", metavar="URI", help="also record that this is what URI names")
    parser.add_argument(
        "--ignore", action="store_true", help="leave out what .custodyignore and the defaults name"
    )
    parser.add_argument("--allow-secrets", action="store_true", help="also keep files that look like secrets")
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Upload one file or directory and print its digest."""
    from os.path import isdir

    if isdir(chosen.path):  # noqa: PTH112 - stays text, as the shell gave it
        from custody.commands.put_tree import put_tree

        return put_tree(chosen)
    from custody.commands.access import service, settings
    from custody.contents import hashed
    from custody.references import check_uri

    if chosen.uri is not None:
        check_uri(chosen.uri)
    found = settings(chosen)
    file = hashed(chosen.path)
    with service(found) as remote:
        if found.step is not None:
            stored = _into_step(remote, found.step, file, chosen.uri)
        else:
            stored = _outside(remote, file, chosen.uri)
    _report(chosen, file, stored)
    return exits.OK


def _into_step(remote: Service, step: str, file: HashedFile, uri: str | None) -> str:
    from custody.output_names import output_name

    query = {} if uri is None else {"uri": uri}
    return remote.put_output(step, output_name(file.path), file.content(), file.sha256, **query)


def _outside(remote: Service, file: HashedFile, uri: str | None) -> str:
    from pathlib import Path

    if remote.missing([file.digest]):
        remote.put(file.content(), file.sha256)
    if uri is not None:
        name = Path(file.path).name
        remote.record({"uri": uri, "name": name, "digest": {"sha256": file.sha256}})
    return file.digest


def _report(chosen: argparse.Namespace, file: HashedFile, stored: str) -> None:
    from custody.terminal import plain, say

    if chosen.json:
        import json

        say(json.dumps({"digest": stored, "path": file.path, "size": file.size, "uri": chosen.uri}))
    else:
        say(f"{plain(stored)}  {plain(file.path)}")
