"""The durable operations of the service, one at a time, each to be broken at any system call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from api.bodies import TreeBody
from artifacts.content import HASH
from artifacts.digest import Digest
from artifacts.limits import UPLOAD_PART_BYTES
from artifacts.queries.uploads import UploadState
from artifacts.recording import Arriving, Target
from artifacts.removal import REMOVE
from artifacts.sealing import SIGN, Finish
from artifacts.steps import Outcome, Role
from artifacts.trees import compression
from artifacts.trees.claims import PackClaim
from artifacts.trees.taking import CHECK
from artifacts.uploads import JOIN, part_numbers, part_size
from artifacts.wire import FinishBody
from tests.faults.reopened import Reopened
from tests.trees.shapes import Pack, Tree, file, folder, link

PROJECT: Final = "default"
PRINCIPAL: Final = "token:" + f"01K{0:023d}"
TO_PUT, TO_FINISH, TO_ATTEST = (f"01M8000000000000000000000{n}" for n in "123")
CONTENT: Final = b"bytes under fire" * 1000
SMALL: Final = b"one part of bytes" * 1000
LARGE: Final = b"two parts of it." * (UPLOAD_PART_BYTES // 16) + b"and a short one"
TO_JOIN: Final = LARGE + b"!"

Tell = Callable[[str], None]
"""Says to the client what is acknowledged; an operation that returns is acknowledged as a whole."""
Do = Callable[[Reopened, Tell, Sequence[str]], Awaitable[None]]


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    """The body of a request."""
    yield content


def a_tree(name: str) -> tuple[Tree, Pack]:
    """A tree that shares no content with one of another name, and all of its files in two frames."""
    contents = {path: f"{name} {path}\n".encode() * 50 for path in ("README", "bin/run", "src/a.py")}
    target = f"../src/{name}".encode()
    entries = [file(path, content) for path, content in contents.items()]
    first, *others = contents.values()
    tree = Tree([*entries, link("bin/a", target), folder("var/empty"), file("src/__init__.py", b"")])
    return tree, Pack.of([first, target], others)


TREE_TO_PUT, TREE_TO_CHECK, TREE_TO_COLLECT = "put", "check", "collect"
TO_COLLECT: Final = b"nobody needs this" * 1000
RULES: Final = '[[rule]]\nolder_than = "1d"\n'


async def put_output(service: Reopened, step: str, content: bytes) -> None:
    """Upload an output in one piece."""
    arriving = Arriving("x", Role.OUTPUT, by_step=True)
    await service.recorder.receive_output(Target(PROJECT, PRINCIPAL, step), arriving, pieces(content))


async def put_parts(service: Reopened, content: bytes, tell: Tell, said: Sequence[str]) -> None:
    """Upload in parts, going on with the upload that was acknowledged before, if one was."""
    begun = [word.removeprefix("upload ") for word in said if word.startswith("upload ")]
    if begun:
        id_ = begun[0]
    else:
        whole = Digest.of(content)
        id_ = (await service.uploads.begin(PROJECT, PRINCIPAL, digest=whole, size=len(content))).row.id
        tell(f"upload {id_}")
    progress = await service.uploads.progress(PROJECT, id_)
    if progress.row.state is UploadState.OPEN:
        for number in sorted(set(part_numbers(len(content))) - set(progress.received)):
            start = (number - 1) * UPLOAD_PART_BYTES
            part = content[start : start + part_size(len(content), number)]
            await service.uploads.put_part(progress.row, number, pieces(part), declared=Digest.of(part))
            tell(f"part {number}")
    await service.uploads.complete(progress.row)


async def put_tree(service: Reopened, name: str, tell: Tell) -> None:
    """Upload the pack of a tree and its manifest, and say what lies where."""
    tree, pack = a_tree(name)
    await service.recorder.receive_blob(PROJECT, pieces(pack.content), declared=None)
    tell("pack")
    digest = Digest.parse(tree.digest)
    await service.trees.put_manifest(PROJECT, digest, pieces(compression.encode(tree.text)))
    tell("manifest")
    await service.trees.propose(PROJECT, digest, claims_of(pack))


def claims_of(pack: Pack) -> list[PackClaim]:
    """What a client says of `pack`."""
    return [one.to_claim() for one in TreeBody.model_validate({"packs": [pack.index]}).packs]


async def finish(service: Reopened, step: str) -> None:
    """Finish a step."""
    body = FinishBody(outcome=Outcome.SUCCEEDED)
    await service.sealer.seal(Finish(PROJECT, step, body, principal=PRINCIPAL))


async def collect(service: Reopened) -> None:
    """Let go what is older than a day, and remove it."""
    service.clock.moment += timedelta(days=2)
    await service.collector(RULES).collect(only=PROJECT)
    await service.work(REMOVE)


OPERATIONS: Final[Mapping[str, Do]] = {
    "put": lambda service, _, __: put_output(service, TO_PUT, CONTENT),
    "resumable": lambda service, tell, said: put_parts(service, LARGE, tell, said),
    "resumable_small": lambda service, tell, said: put_parts(service, SMALL, tell, said),
    "join": lambda service, _, __: service.work(JOIN),
    "tree": lambda service, tell, _: put_tree(service, TREE_TO_PUT, tell),
    "check": lambda service, _, __: service.work(CHECK),
    "read_back": lambda service, _, __: service.work(HASH),
    "finish": lambda service, _, __: finish(service, TO_FINISH),
    "attest": lambda service, _, __: service.work(SIGN),
    "collect": lambda service, _, __: collect(service),
}
"""By name: what happens in one call of the service, or one round of its signer or worker."""
DESCRIBED: Final[Mapping[str, str]] = {
    "put": "upload in one piece",
    "resumable": "resumable upload: begin, two parts, complete",
    "resumable_small": "resumable upload of up to 1 MiB: begin, part, complete, joined by the api",
    "join": "its worker: join, hash, promote, receipt",
    "tree": "tree: pack, manifest, proposal",
    "check": "its worker: check, locations, layout, receipt",
    "read_back": "worker: blobs read back, receipts",
    "finish": "finish: sealing",
    "attest": "signing",
    "collect": "worker: a blob and a tree decided on, deleted, gone",
}
