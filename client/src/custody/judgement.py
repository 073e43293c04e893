"""The verdict of `custody verify`: every check on a line, and what would have been expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from custody.evidence.errors import EvidenceError
from custody.evidence.expectations import Check, Expectations
from custody.evidence.verify import Outcome, Report, verify
from custody.evidence_sources import Evidence, Trust
from custody.terminal import paint, plain
from custody.wire import Document

_CAVEAT = "what the builder states here was reported by the step's own machine; nobody else watched it"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: about which artifact, trusting whom, expecting what."""

    subject: str
    digest: str
    trust: str
    expected: Expectations
    where: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one bundle came to; `report` is None if it could not even be read."""

    name: str
    report: Report | None
    unread: str = ""

    @property
    def verified(self) -> bool:
        """Whether every check of it held."""
        return self.report is not None and self.report.verified


@dataclass(frozen=True, slots=True)
class Verdict:
    """All opinions, the best first."""

    question: Question
    opinions: tuple[Opinion, ...]

    @property
    def verified(self) -> bool:
        """Whether at least one statement about the artifact held in every check."""
        return any(opinion.verified for opinion in self.opinions)


def judge(question: Question, trust: Trust, evidence: Sequence[Evidence]) -> Verdict:
    """Verify every bundle by itself and return what came of it."""
    opinions = [_opinion(question, trust, one) for one in evidence]
    return Verdict(question, tuple(sorted(opinions, key=_rank, reverse=True)))


def lines(verdict: Verdict, *, stream: TextIO) -> Iterator[str]:
    """Yield the report as people read it: what is asked, the checks, the verdict."""
    question = verdict.question
    yield f"subject  {plain(question.digest)}  {plain(question.subject)}"
    yield f"trust    {plain(question.trust)} · {plain(question.where)}"
    expected = question.expected.described() or ("a signature by that key, and this subject",)
    yield f"expects  {plain(' · '.join(expected))}"
    shown = [one for one in verdict.opinions if one.verified] or verdict.opinions[:1]
    for opinion in shown:
        yield from _opinion_lines(question, opinion, stream)
    if rest := len(verdict.opinions) - len(shown):
        yield f"  {paint('!', 'yellow', on=stream)} {rest} other attestations of it did not hold"
    yield _conclusion(verdict, stream)


def as_json(verdict: Verdict) -> Document:
    """Return the report as programs read it."""
    return {
        "verified": verdict.verified,
        "subject": verdict.question.digest,
        "trust": verdict.question.trust,
        "expectations": list(verdict.question.expected.described()),
        "attestations": [_opinion_json(opinion) for opinion in verdict.opinions],
    }


def _opinion(question: Question, trust: Trust, evidence: Evidence) -> Opinion:
    try:
        report = verify(
            evidence.content, keys=trust.keys, artifact=question.digest, expectations=question.expected
        )
    except EvidenceError as error:
        return Opinion(evidence.name, None, str(error))
    return Opinion(evidence.name, report)


def _rank(opinion: Opinion) -> tuple[bool, int]:
    checks = opinion.report.checks if opinion.report is not None else ()
    return opinion.verified, sum(check.ok for check in checks)


def _opinion_lines(question: Question, opinion: Opinion, stream: TextIO) -> Iterator[str]:
    yield f"bundle   {plain(opinion.name)}"
    if opinion.report is None:
        yield f"  {paint('✗', 'red', on=stream)} {'bundle':<12} {plain(opinion.unread)}"
        return
    for check in opinion.report.checks:
        mark = paint("✓", "green", on=stream) if check.ok else paint("✗", "red", on=stream)
        yield f"  {mark} {check.name:<12} {plain(check.text)}"
        if not check.ok:
            yield from _beside(question, opinion.report, check)
    if opinion.report.statement is not None:
        yield f"  {paint('!', 'yellow', on=stream)} {'builder':<12} {_CAVEAT}"


def _beside(question: Question, report: Report, check: Check) -> Iterator[str]:
    """Yield what was expected and what was found, where the check itself cannot know both."""
    if check.name == "subject" and report.statement is not None:
        yield f"      expected {plain(question.digest)}"
        for subject in report.statement.subjects[:5]:
            found = ", ".join(f"{name}:{value}" for name, value in subject.digest.items())
            yield f"      found    {plain(found)}  {plain(subject.name or '')}".rstrip()
    if check.name == "source" and question.expected.source_uri and "reported" in check.text:
        yield "      a claim of the step itself counts only with --label reported"


def _conclusion(verdict: Verdict, stream: TextIO) -> str:
    if verdict.verified:
        return paint("verified", "green", on=stream)
    best = verdict.opinions[0].report if verdict.opinions else None
    if best is not None and best.outcome is Outcome.SIGNER_UNKNOWN:
        hint = "pin a key: CUSTODY_PIN from custody-server env, --pin or --key"
        return f"{paint('not verified', 'red', on=stream)}: well-formed, signer unknown; {hint}"
    return paint("not verified", "red", on=stream)


def _opinion_json(opinion: Opinion) -> Document:
    if opinion.report is None:
        return {"name": opinion.name, "outcome": "unreadable", "reason": opinion.unread, "checks": []}
    checks = [{"name": check.name, "ok": check.ok, "text": check.text} for check in opinion.report.checks]
    return {
        "name": opinion.name,
        "outcome": str(opinion.report.outcome),
        "signers": list(opinion.report.signers),
        "checks": checks,
    }
