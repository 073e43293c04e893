"""`custody get`: verified bytes, or nothing at all."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from custody.references import Reference
    from custody.service import Service

_DESCRIPTION = """\
Download the bytes of a digest, or of the one digest recorded for a URI, verify them,
and only then give them their name. An existing DEST is left alone unless --force.
With DEST - they go to standard output, after the whole content was verified.

The digest of a tree becomes the new directory DEST: every file is hashed, links are
never followed, and links that lead out of it are refused; so is a tree with .git in it,
whose hooks the next git command would run. A file of a tree is got by its own digest
(custody ls shows it). What was fetched before on this machine is not fetched again
(see custody cache), and a tree that is here as a whole needs no service.
"""

_EPILOG = """\
examples:
  custody get sha256:4bf1…  app.whl
  custody get sha256:77ab…  dataset/
  custody get https://models.example.com/churn/7/model.bin model.bin
  custody get sha256:4bf1…  - | less
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("get", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("subject", metavar="DIGEST|URI")
    parser.add_argument("target", metavar="DEST")
    parser.add_argument("--force", action="store_true", help="replace DEST if it exists")
    parser.add_argument(
        "--allow-outward-links", action="store_true", help="also make links that lead out of a tree"
    )
    parser.add_argument(
        "--allow-git-names", action="store_true", help="also restore a tree with .git, hooks and all"
    )
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Fetch, verify and name one file or directory."""
    from contextlib import ExitStack
    from functools import cache

    with ExitStack() as opened:

        @cache
        def remote() -> Service:
            # Not before something has to be asked: a tree that is here needs no service.
            from custody.commands.access import service, settings

            return opened.enter_context(service(settings(chosen)))

        wanted = _resolved(remote, chosen.subject)
        if chosen.target == "-":
            _to_output(remote(), wanted)
        elif not _as_tree(remote, wanted, chosen):
            _to_file(remote(), wanted, chosen)
    return exits.OK


def _resolved(remote: Callable[[], Service], written: str) -> Reference:
    """Return the sha256 that `written` names.

    Raises:
        ClientError: It names none, or more than one.
    """
    from custody.errors import MisuseError
    from custody.references import is_digest, parse, parse_digest

    if is_digest(written) or is_digest(written.rpartition("@")[2]):
        found = parse(written)
    else:
        found = parse_digest(_only(remote(), written))
    if found.algorithm != "sha256":
        raise MisuseError(
            f"{found.digest} has no bytes of its own",
            hint=f"custody trace {found.digest} shows what belongs to it",
        )
    return found


def _only(remote: Service, uri: str) -> str:
    from custody.errors import ContentError, NothingFoundError
    from custody.references import check_uri

    digests = remote.resolve(check_uri(uri))
    if not digests:
        raise NothingFoundError(f"nothing is recorded for {uri}")
    if len(digests) > 1:
        shown = ", ".join(digests[:5]) + (" …" if len(digests) > 5 else "")
        raise ContentError(
            f"{uri} named {len(digests)} different contents: {shown}", hint="ask for one by its digest"
        )
    return digests[0]


def _as_tree(remote: Callable[[], Service], wanted: Reference, chosen: argparse.Namespace) -> bool:
    """Restore `wanted` if it is a tree; return whether it is."""
    from custody.commands.get_tree import get_tree

    return get_tree(remote, wanted, chosen)


def _to_output(remote: Service, wanted: Reference) -> None:
    import shutil
    import sys
    from tempfile import TemporaryFile

    from custody.downloads import fetch

    with TemporaryFile() as stream:
        fetch(remote, wanted.hex, stream)
        stream.seek(0)
        shutil.copyfileobj(stream, sys.stdout.buffer)


def _to_file(remote: Service, wanted: Reference, chosen: argparse.Namespace) -> None:
    from pathlib import Path

    from custody.downloads import fetch_to_file
    from custody.errors import MisuseError
    from custody.terminal import plain, say

    target = Path(chosen.target)
    if target.is_dir():
        raise MisuseError(f"{target} is a directory", hint="name the file that shall be written")
    size = fetch_to_file(remote, wanted.hex, target, replace=chosen.force)
    if chosen.json:
        import json

        say(json.dumps({"digest": wanted.digest, "path": str(target), "size": size}))
    else:
        say(f"{wanted.digest}  {plain(target)}")
