"""`make demo`: a real git repository, cloned, built, installed and used in recorded steps, verified, traced.

In the middle the database is deleted and made again from the object store. Every scene checks what it shows and the demonstration stops at the first surprise, so it is a test too.
"""

import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from examples.demo import evidence, trees
from examples.demo.git_server import GitServer
from examples.demo.loss import claim_index, empty_index, lose_index
from examples.demo.service import Service, chosen, stopping
from examples.demo.stage import Terminal, UnexpectedError, expect, say, scene

PROJECT = Path(__file__).parent / "project"
SDIST = "dist/tally-1.0.0.tar.gz"
WHEEL = "dist/tally-1.0.0-py3-none-any.whl"
AUTHOR = {
    "GIT_AUTHOR_NAME": "Custody demo",
    "GIT_AUTHOR_EMAIL": "demo@custody.invalid",
    "GIT_COMMITTER_NAME": "Custody demo",
    "GIT_COMMITTER_EMAIL": "demo@custody.invalid",
}
NEXT = """
What to try next:
  export PATH="$PWD/.venv/bin:$PATH"
  custody-server serve --data .demo --listen 127.0.0.1:8080 &
  eval "$(custody-server env --data .demo)"
  cd "$(mktemp -d)"
  custody run --name hello -- sh -c 'echo hello > hello.txt'
  custody verify hello.txt
  custody trace hello.txt
  custody put DIR && custody get DIGEST COPY && custody diff DIGEST COPY
README.md says what the proof is worth; docs/http.md shows how to do all of it with curl."""


def publish_repository(terminal: Terminal, served: Path) -> None:
    """Make a repository with one commit and put a bare copy where the git server finds it."""
    work = terminal.place / "upstream"
    shutil.copytree(PROJECT, work, ignore=shutil.ignore_patterns("__pycache__"))
    (work / ".gitignore").write_text("dist/\n__pycache__/\n")
    git = terminal.at(work).given(AUTHOR)
    git.ask("git", "init", "-q", "-b", "main")
    git.ask("git", "add", ".")
    git.ask("git", "commit", "-q", "-m", "Count equal lines")
    git.ask("git", "clone", "-q", "--bare", ".", str(served / "tally.git"))


def serve_repository(terminal: Terminal, stack: ExitStack) -> str:
    """Serve the repository over loopback HTTP until the stack closes; return its URL."""
    served = terminal.place / "served"
    served.mkdir()
    publish_repository(terminal, served)
    server = stack.enter_context(GitServer(served))
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{server.url}/tally.git"


def build(terminal: Terminal) -> None:
    """Build the source archive, then the wheel from that very archive, each as a recorded step."""
    scene("Step 1: build the source archive. Nothing in the command changes; `custody run` stands before it")
    terminal.run(
        "custody", "run", "--name", "sdist", "--", "python", "-m", "build", "--sdist", "--no-isolation"
    )
    expect((terminal.place / SDIST).is_file(), "no source archive was built")

    scene("Step 2: build the wheel from what step 1 made")
    wheel = ("python", "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation")
    terminal.run(
        "custody", "run", "--name", "wheel", "--input", SDIST, "--", *wheel, "--wheel-dir", "dist", SDIST
    )
    expect((terminal.place / WHEEL).is_file(), "no wheel was built")


def use_elsewhere(terminal: Terminal, tree: str, commit: str) -> None:
    """Use the directory that step 3 made, in a step somewhere else."""
    elsewhere = terminal.at(terminal.place.parent / "elsewhere")
    elsewhere.place.mkdir()
    trees.use_elsewhere(elsewhere, tree)
    trees.trace(elsewhere, tree.partition(":")[2], "install", "wheel", "sdist", commit)


def tamper(genuine: Path) -> Path:
    """Return a copy of `genuine` with one byte changed in the middle, under the same name."""
    content = bytearray(genuine.read_bytes())
    content[len(content) // 2] ^= 1
    copy = genuine.parent.parent / "tampered" / genuine.name
    copy.parent.mkdir()
    copy.write_bytes(content)
    return copy


def tell(terminal: Terminal, stack: ExitStack) -> None:
    """Go through all scenes; `terminal` stands in an empty directory."""
    scene("A git repository, served over HTTP by git's own http-backend")
    url = serve_repository(terminal, stack)
    terminal.run("git", "clone", url, "tally")
    checkout = terminal.at(terminal.place / "tally")
    commit = checkout.ask("git", "rev-parse", "HEAD").strip()

    service = Service(terminal, terminal.place / "custody", chosen())
    scene(f"The service: three processes, {service.index} and {service.store}")
    claim_index(service)
    stack.callback(empty_index, service)
    with stopping(service):
        exported = service.start()
        asking = checkout.given(exported)
        say('$ eval "$(custody-server env --data …)"   # ' + ", ".join(exported))
        build(asking)
        tree = trees.install(asking, WHEEL)
        tampered = evidence.verify_online(asking, WHEEL, url, tamper)
        evidence.trace(asking, WHEEL, SDIST, commit)
        lose_index(asking, service, exported, WHEEL, SDIST)
        evidence.get_back(asking, WHEEL)
        use_elsewhere(asking, tree, commit)
        evidence.upload_with_curl(asking)
        evidence.keep_bundle(asking, WHEEL)
    evidence.verify_offline(checkout, WHEEL, tampered)


def main() -> int:
    """Run the demonstration in a directory of its own and remove it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="custody-demo-") as name, ExitStack() as stack:
        place = Path(name).resolve()
        home = place / "home"
        home.mkdir()
        try:
            tell(Terminal(place, {"HOME": str(home)}), stack)
        except UnexpectedError as error:
            say(f"\ndemo: {error}")
            return 1
    say(f"\nEverything above was checked and took {time.monotonic() - began:.0f} s.")
    say(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
