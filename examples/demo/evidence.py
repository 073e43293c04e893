"""The second half of the demonstration: what the recorded steps prove, and what is refused."""

import hashlib
import json
import os
import secrets
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from examples.demo.stage import Terminal, expect, say, scene

BUNDLE = "wheel.sigstore.json"
KEY = "custody.pem"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def verify_online(terminal: Terminal, wheel: str, source: str, tamper: Callable[[Path], Path]) -> Path:
    """Verify `wheel` against the service, see a tampered copy refused, and return that copy."""
    scene("Verify: who made this file, from what? Exit status 0 only if a pinned key signed it")
    terminal.run("custody", "verify", wheel)

    scene("Expect more: built from this repository. Only reported, by the step itself, so the label is said")
    terminal.run("custody", "verify", wheel, "--source", f"git+{source}", "--label", "reported")
    scene("Without the label the same expectation fails: nobody but the step says so, exit status 1")
    terminal.run("custody", "verify", wheel, "--source", f"git+{source}", status=1)

    scene("The same with one byte changed: nobody ever stated anything about these bytes, exit status 3")
    tampered = tamper(terminal.place / wheel)
    terminal.run("custody", "verify", str(tampered.relative_to(terminal.place)), status=3)
    return tampered


def trace(terminal: Terminal, wheel: str, sdist: str, commit: str) -> None:
    """Show the lineage of `wheel` and check that it leads to the archive and the commit."""
    scene("Trace: the wheel comes from the archive, the archive from the commit")
    terminal.run("custody", "trace", wheel)
    lineage = terminal.ask("custody", "trace", wheel, "--json")
    archive = hashlib.sha256((terminal.place / sdist).read_bytes()).hexdigest()
    for fact, what in (("wheel", "step"), ("sdist", "step"), (archive, "archive"), (commit, "commit")):
        expect(fact in lineage, f"the lineage does not show the {what} {fact}")


def get_back(terminal: Terminal, wheel: str) -> None:
    """Fetch the stored bytes by digest and compare them with the file."""
    scene("The bytes are kept under their digest")
    content = (terminal.place / wheel).read_bytes()
    terminal.run("custody", "get", f"sha256:{hashlib.sha256(content).hexdigest()}", "again.whl")
    expect((terminal.place / "again.whl").read_bytes() == content, "the service gave back other bytes")


def upload_with_curl(terminal: Terminal) -> None:
    """Record a step with curl alone, as an image without Python would."""
    if shutil.which("curl") is None:
        say("\n(curl is not installed here; docs/http.md shows the scene that is left out)")
        return
    scene("The same with curl alone: begin a step, upload, finish")
    token = secrets.token_urlsafe(32)
    step = _ulid()
    begin = {"id": step, "name": "by-hand", "token_sha256": hashlib.sha256(token.encode()).hexdigest()}
    asking = terminal.given(
        {"STEP_TOKEN": token, "STEP": f"{terminal.variables['CUSTODY_URL']}/v1/steps/{step}"}
    )
    is_json = '-H "Content-Type: application/json"'
    own = '-H "Authorization: Bearer $STEP_TOKEN"'
    project = '-H "Authorization: Bearer $CUSTODY_TOKEN"'
    _curl(asking, f"""{project} {is_json} -d '{json.dumps(begin)}' "$CUSTODY_URL/v1/steps\"""")
    _curl(asking, f'{own} -T README.md "$STEP/outputs/README.md"')
    finish = f"""{own} {is_json} -d '{{"outcome": "succeeded"}}' "$STEP/finish?wait=20\""""
    answer = json.loads(_curl(asking, finish))
    expect(answer["state"] == "signed", f"the step is {answer['state']}, not signed")


def _curl(terminal: Terminal, arguments: str) -> str:
    return terminal.shell(f"curl -sS --fail-with-body {arguments}")


def keep_bundle(terminal: Terminal, wheel: str) -> None:
    """Fetch what is needed to verify `wheel` without the service: its bundle and the public key."""
    scene("Keep the evidence: the signed bundle, and the key whose fingerprint is CUSTODY_PIN")
    digest = hashlib.sha256((terminal.place / wheel).read_bytes()).hexdigest()
    listed = json.loads(_fetched(terminal, f"/v1/attestations?subject=sha256:{digest}"))["attestations"]
    expect(len(listed) == 1, f"{len(listed)} attestations where one was expected")
    bundle = _fetched(terminal, f"/v1/attestations/{listed[0]['digest']}")
    named = f"sha256:{hashlib.sha256(bundle).hexdigest()}"
    expect(named == listed[0]["digest"], "the bundle is not the one that was asked for")
    (terminal.place / BUNDLE).write_bytes(bundle)
    keys = json.loads(_fetched(terminal, "/.well-known/custody/keys.json"))["keys"]
    pinned = [key for key in keys if key["keyid"] in terminal.variables["CUSTODY_PIN"]]
    expect(len(pinned) == 1, "the pinned key is not among the published ones")
    (terminal.place / KEY).write_text(pinned[0]["public_key"])
    say(f"{BUNDLE}: {listed[0]['predicate_type']} by {listed[0]['builder_id']}")
    say(f"{KEY}: {pinned[0]['keyid']}")


def _fetched(terminal: Terminal, path: str) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - the address `custody-server env` gave
        terminal.variables["CUSTODY_URL"] + path,
        headers={"Authorization": f"Bearer {terminal.variables['CUSTODY_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return bytes(answer.read())


def verify_offline(terminal: Terminal, wheel: str, tampered: Path) -> None:
    """Verify with the bundle and the key alone; the service has stopped by now."""
    scene("The service is stopped. Verify from the two files alone")
    kept = ("--bundle", BUNDLE, "--key", KEY)
    terminal.run("custody", "verify", wheel, *kept)
    scene("And the tampered copy: the signature is good, but it speaks of other bytes, exit status 1")
    terminal.run("custody", "verify", str(tampered.relative_to(terminal.place)), *kept, status=1)


def _ulid() -> str:
    """Make an id as the ULID specification writes it: milliseconds, then chance."""
    number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10))
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
