"""`custody verify`: check who says how an artifact was made, with a key that was pinned."""

from __future__ import annotations

from custody import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from custody.evidence.expectations import Expectations
    from custody.evidence_sources import Evidence, Trust
    from custody.settings import Settings

_DESCRIPTION = """\
Check the signed provenance of a file or digest: signature, statement, subject, and
whatever you expect of it. The bundles may come from the service; the decision is made
here, and the key that counts is never chosen by who is being checked: it is the one in
--key, or the one whose fingerprint is CUSTODY_PIN or --pin. Without either the answer
is "well-formed, signer unknown" and exit status 1.

With --bundle and --key nothing is asked of any network.
"""

_EPILOG = """\
examples:
  custody verify dist/app.whl
  custody verify dist/app.whl --source git+https://example.com/app --label reported
  custody verify sha256:4bf1… --bundle app.sigstore.json --key builder.pem

--label says how well an expected claim must be proven. What custody run reads on the
step's own machine is `reported`; `verified` was established by the service itself.

exit status: 0 verified, 1 not verified, 2 misused, 3 nothing found, 4 no service
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    from custody.commands.parser import add_json_option, add_service_options

    parser = commands.add_parser("verify", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("subject", metavar="PATH|DIGEST")
    trust = parser.add_argument_group("whom to trust").add_argument
    trust("--key", metavar="PEM", help="file with the public key")
    trust("--pin", metavar="SHA256:…", help="fingerprint of the key (default: CUSTODY_PIN)")
    expect = parser.add_argument_group("what to expect").add_argument
    expect("--source", metavar="URI", help="what it was built from, with or without @ref")
    expect("--builder", metavar="ID", help="who built it")
    expect(
        "--label",
        choices=("reported", "observed", "verified"),
        default="verified",
        help="least proof of a claim",
    )
    parser.add_argument("--bundle", metavar="FILE", help="the evidence, instead of asking the service")
    add_service_options(parser)
    add_json_option(parser)
    parser.set_defaults(action=run)


def run(chosen: argparse.Namespace) -> int:
    """Verify one artifact; exit 0 only if a statement about it held in every check."""
    from custody.commands.access import settings
    from custody.errors import MisuseError
    from custody.evidence.errors import EvidenceError
    from custody.evidence.expectations import Expectations
    from custody.subjects import subject_digest

    try:
        expected = Expectations(
            source_uri=chosen.source, builder_id=chosen.builder, minimum_label=chosen.label
        )
    except EvidenceError as error:
        raise MisuseError(str(error)) from error
    found = settings(chosen)
    digest = subject_digest(chosen.subject)
    trust, evidence, where = _gather(chosen, found, digest)
    if not evidence:
        return _nothing(chosen, found, digest)
    return _judge(chosen, digest, trust, evidence, expected, where)


def _gather(chosen: argparse.Namespace, found: Settings, digest: str) -> tuple[Trust, list[Evidence], str]:
    """Collect the keys that count and the bundles; ask the service only for what no file gives."""
    from contextlib import ExitStack

    from custody.commands.access import service
    from custody.errors import NothingFoundError
    from custody.evidence_sources import Trust, bundle_from_file, bundles_from, key_from_file, key_with_pin

    with ExitStack() as opened:
        offline = chosen.bundle and (chosen.key or not found.pin)
        remote = None if offline else opened.enter_context(service(found))
        if chosen.key:
            trust = key_from_file(chosen.key, chosen.pin)
        elif found.pin and remote is not None:
            trust = key_with_pin(remote, found.pin)
        else:
            trust = Trust((), "nobody: no key is pinned")
        if chosen.bundle or remote is None:
            return trust, bundle_from_file(chosen.bundle), "offline" if remote is None else remote.shown
        try:
            return trust, bundles_from(remote, digest), remote.shown
        except NothingFoundError:
            return trust, [], remote.shown


def _judge(
    chosen: argparse.Namespace,
    digest: str,
    trust: Trust,
    evidence: list[Evidence],
    expected: Expectations,
    where: str,
) -> int:
    import sys

    from custody.judgement import Question, as_json, judge, lines
    from custody.terminal import say

    question = Question(chosen.subject, digest, trust.described, expected, where)
    verdict = judge(question, trust, evidence)
    if chosen.json:
        import json

        say(json.dumps(as_json(verdict), sort_keys=True))
    else:
        for line in lines(verdict, stream=sys.stdout):
            say(line)
    return exits.OK if verdict.verified else exits.FAILED


def _nothing(chosen: argparse.Namespace, found: Settings, digest: str) -> int:
    """Say that nothing is known, and whether the file's name is known with other contents."""
    from custody.terminal import complain

    if chosen.json:
        import json

        from custody.terminal import say

        say(json.dumps({"verified": False, "subject": digest, "attestations": []}))
    others = _others(chosen, found, digest)
    hint = f"that name is recorded with other contents, last {others[0]}" if others else None
    complain(f"nothing is attested about {digest}", hint)
    return exits.NOTHING_FOUND


def _others(chosen: argparse.Namespace, found: Settings, digest: str) -> list[str]:
    from custody.commands.access import service
    from custody.errors import ClientError
    from custody.output_names import output_name
    from custody.references import looks_like_reference

    if looks_like_reference(chosen.subject):
        return []
    try:
        with service(found) as remote:
            return [other for other in remote.digests_named(output_name(chosen.subject)) if other != digest][
                :3
            ]
    except ClientError:
        return []
