"""The part of the demonstration about directories: one output, one digest, the same wherever it is fetched."""

import json

from examples.demo.stage import Terminal, expect, scene

SITE = "site"
COUNTED = "counted.txt"
_USE = f"printf 'b\\na\\nb\\n' | PYTHONPATH={SITE} python -B {SITE}/bin/tally > {COUNTED}"


def install(terminal: Terminal, wheel: str) -> str:
    """Install `wheel` into a directory that is one output; return the digest of the directory."""
    scene("Step 3: install the wheel into a directory. `--output site/` makes it one output, with one digest")
    pip = (
        "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--target",
        SITE,
    )
    recording = ("custody", "run", "--name", "install", "--input", wheel, "--output", f"{SITE}/", "--")
    terminal.run(*recording, *pip, wheel)

    scene(
        "`custody put` keeps a directory without a step. This one is there already, so nothing is sent again"
    )
    put = json.loads(terminal.run("custody", "put", SITE, "--json"))
    expect(put["sent"] == 0, f"{put['sent']} bytes of a directory were sent twice")
    return str(put["digest"])


def use_elsewhere(terminal: Terminal, tree: str) -> None:
    """Fetch `tree` where nothing of it is, use it in a step, and see what was changed in it."""
    home = terminal.place / "home"
    home.mkdir(parents=True)
    there = terminal.given({"HOME": str(home)})

    scene("As if on another machine: list the directory by its digest, and get it; every file is hashed")
    there.run("custody", "ls", tree)
    there.run("custody", "get", tree, SITE)
    there.run("custody", "diff", tree, SITE)

    scene("Step 4: use the directory as the input of a step, by its digest")
    using = ("custody", "run", "--name", "count", "--input", tree, "--output", COUNTED)
    there.run(*using, "--", "sh", "-c", _USE)
    expect((there.place / COUNTED).read_text() == "2 b\n1 a\n", "what was installed does not count")
    there.run("custody", "verify", COUNTED)

    scene("One file of the copy changed: diff names it, exit status 1")
    changed = there.place / SITE / "tally" / "__init__.py"
    changed.write_text(changed.read_text().replace("-entry[1]", "entry[1]"))
    told = there.run("custody", "diff", tree, SITE, status=1)
    expect(told.split() == ["~", "tally/__init__.py"], "diff does not name the one file that was changed")


def trace(terminal: Terminal, *links: str) -> None:
    """Follow what step 4 made back through the directory to the commit."""
    scene("Trace: through the directory to the wheel, the archive and the commit")
    terminal.run("custody", "trace", COUNTED)
    lineage = terminal.ask("custody", "trace", COUNTED, "--json")
    for link in links:
        expect(link in lineage, f"the lineage does not show {link}")
