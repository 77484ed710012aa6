"""From a judgement and the texts that an attempt left behind to a judgement with its diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from dashboard_client.schema import Cause, CauseClass, Diagnosis, Log, Outcome
from sdk_tests.diagnosis.matching import Match, best_line, find_cause
from sdk_tests.diagnosis.rule import SPECIFIC, cause_key, unknown_key
from sdk_tests.diagnosis.rules import OWN, RULES
from sdk_tests.diagnosis.text import Text, Where
from sdk_tests.model.attempt import Judgement

LONGEST = 500
"""Characters of the evidence."""

DECIDED = frozenset(
    {
        "interrupted",
        "supervisor-gone",
        "harness-error",
        "machine-overloaded",
        "not-judged",
        "out-of-reference",
        "reference-unusable",
    }
)
"""Rules of the harness that no message changes: they do not come from what the case did."""

NOT_THE_COMPONENT = frozenset(
    {"submit-refused", "scheduler-unreachable", "queue-wait", "node-failure", "preempted", "out-of-memory"}
)
"""Rules of the harness with evidence against site or scheduler; a message can only say more about these two."""


@dataclass(frozen=True)
class Observed:
    """What the harness saw of an attempt: what was expected and what came, the answer as JSON, and the logs."""

    expected: str | None = None
    got: str | None = None
    answer: str | None = None
    logs: tuple[Log, ...] = ()


def diagnosed(judgement: Judgement, texts: Sequence[Text], observed: Observed | None = None) -> Judgement:
    """Return the judgement with the cause that the texts name: its rule, class and phase, and the diagnosis.

    A cause that no rule knows leaves the judgement as it is, with the best lines in the diagnosis.
    """
    observed = observed or Observed()
    cause = judgement.cause
    match = None if cause.rule in DECIDED else find_cause(texts)
    if match is not None and cause.rule in NOT_THE_COMPONENT and not _refines(match):
        match = None
    if match is None:
        line = None if cause.rule in DECIDED else best_line(texts)
        return replace(judgement, diagnosis=_plain(cause, observed, line))
    outcome = judgement.outcome if cause.rule in NOT_THE_COMPONENT else match.rule.verdict
    return Judgement(outcome, cause_of(match), diagnosis_of(match, observed))


def _refines(match: Match) -> bool:
    """Return whether a match says more about a cause that the harness knows: one of site or scheduler, and specific.

    Other messages of the scheduler may follow from what the harness did, such as the end of a job that it cancelled.
    """
    return match.rule.rank == SPECIFIC and match.rule.cls in (CauseClass.SITE, CauseClass.SCHEDULER)


def cause_of(match: Match) -> Cause:
    """Return the cause of a match. Its evidence is the line, with the name of its file unless that is the output."""
    named = match.line if match.text.where is Where.OUTPUT else f"{match.text.name}: {match.line}"
    return Cause(phase=match.rule.phase, cls=match.rule.cls, rule=match.rule.id, evidence=named[:LONGEST])


def diagnosis_of(match: Match, observed: Observed | None = None, blocked_by: str | None = None) -> Diagnosis:
    """Return the diagnosis of a match."""
    rule, observed = match.rule, observed or Observed()
    return Diagnosis(
        title=rule.filled(rule.title, match.values),
        cause_key=cause_key(rule.id, match.values.values()),
        expected=observed.expected,
        got=observed.got,
        line=match.line,
        source=match.text.name,
        advice=rule.filled(rule.advice, match.values),
        blocked_by=blocked_by,
        answer=observed.answer,
        logs=list(observed.logs),
    )


def _plain(cause: Cause, observed: Observed, best: tuple[str, Text] | None) -> Diagnosis:
    title, advice = _title_and_advice(cause)
    return Diagnosis(
        title=title,
        cause_key=unknown_key(cause.rule, best[0] if best else cause.evidence),
        expected=observed.expected,
        got=observed.got,
        line=best[0] if best else None,
        source=best[1].name if best else None,
        advice=advice,
        answer=observed.answer,
        logs=list(observed.logs),
    )


def completed(judgement: Judgement) -> Judgement:
    """Return a judgement other than a pass with a diagnosis that fits its cause.

    A later step may have found a cause that is more certain; what was expected, and the logs, stay. A skip and a known
    failure need no diagnosis.
    """
    diagnosis, cause = judgement.diagnosis, judgement.cause
    if judgement.outcome not in (Outcome.FAIL, Outcome.ERROR, Outcome.INFRA):
        return judgement
    if diagnosis is None:
        return replace(judgement, diagnosis=_plain(cause, Observed(), None))
    if diagnosis.blocked_by or diagnosis.cause_key.partition(":")[0] == cause.rule:
        return judgement
    title, advice = _title_and_advice(cause)
    changed = msgspec.structs.replace(
        diagnosis,
        title=title,
        advice=advice,
        cause_key=unknown_key(cause.rule, cause.evidence),
        line=cause.evidence,
        source=None,
    )
    return replace(judgement, diagnosis=changed)


def _title_and_advice(cause: Cause) -> tuple[str, str | None]:
    known = OWN.get(cause.rule)
    if known is not None:
        return known
    rule = next((rule for rule in RULES if rule.id == cause.rule), None)
    if rule is not None:
        return rule.filled(rule.title, {}), rule.filled(rule.advice, {})
    return cause.rule.replace("-", " "), None


def blocked_by(judgement: Judgement, finding: Diagnosis) -> Judgement:
    """Return the judgement of a case that did not run, or could not pass, because of a finding about something else."""
    mine = judgement.diagnosis
    return replace(
        judgement,
        diagnosis=msgspec.structs.replace(
            finding,
            blocked_by=finding.cause_key,
            expected=mine.expected if mine else finding.expected,
            got=mine.got if mine else finding.got,
            answer=mine.answer if mine else None,
            logs=mine.logs if mine else [],
        ),
    )
