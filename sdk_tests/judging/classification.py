"""Classification of failures: rules from the ending of an attempt to an outcome and its cause. The first match counts.

``infra`` requires positive evidence against the site or its scheduler. An ending that no rule covers is ``error``.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashboard_client.schema import Cause, CauseClass, Diagnosis, Outcome, Phase
from sdk_tests.diagnosis import Observed, Text, blocked_by, diagnosed
from sdk_tests.diagnosis.rule import unknown_key
from sdk_tests.diagnosis.rules import OWN, SIGNALS
from sdk_tests.judging.blocked import blocked, of_result
from sdk_tests.judging.examination import texts_of
from sdk_tests.judging.waiting import split_waiting
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.model.output import telling_line


@dataclass(frozen=True)
class Health:
    """Evidence against a scheduler. control: the judgement of its failed control; unreachable: a ping had no answer."""

    control: Judgement | None = None
    unreachable: str | None = None


_CONTROL = "the control case itself failed: "

STARVED = 0.25
"""Share of an attempt's time without a core above which a reached time limit says nothing about the component."""


def overloaded(result: AttemptResult) -> bool:
    """Return whether an attempt reached its time limit on a machine that had no core for it for much of that time."""
    return result.ending == "timeout" and result.starved >= STARVED


def repeatable(result: AttemptResult) -> str:
    """Return why a non-pass must be repeated before it counts; empty if it counts."""
    if result.fixture and not result.fixture_failed:
        return f"it shared the {result.fixture} with other cases"
    if result.disturbed:
        return f"its allocation was not healthy: {result.disturbed}"
    if overloaded(result):
        return f"it had no core for {result.starved:.0%} of its time: the machine was overloaded"
    return ""


def usable(result: AttemptResult, answers: bool) -> bool:
    """Return whether the test function can judge the attempt: the payload exited with 0 and printed its answer."""
    if result.ending != "exited" or result.exit_code != 0:
        return False
    return not answers or (len(result.answers) == 1 and not result.detail)


def classify(
    result: AttemptResult,
    health: Health,
    control: bool,
    texts: Sequence[Text] | None = None,
    observed: Observed | None = None,
) -> Judgement:
    """Return outcome, cause and diagnosis of an attempt that no test function can judge.

    texts: what the attempt left behind; by default, what its result contains. observed: what else is known about it.
    """
    if result.ending == "cancelled":
        return interrupted(result.detail or "the run was stopped while this case ran")
    judgement = _by_ending(result) or _by_exit(result) or _unrecognised(result)
    if result.ending == "control-failed" and health.control is not None and health.control.diagnosis is not None:
        return blocked_by(judgement, health.control.diagnosis)
    if result.ending == "job-cancelled":  # by somebody else; what its programs then print is a consequence
        judgement = diagnosed(judgement, (), observed)
    elif result.ending != "blocked":
        judgement = diagnosed(judgement, texts_of(result) if texts is None else texts, observed)
    if control and judgement.cause.cls is not CauseClass.HARNESS:
        return control_failed(judgement)
    if judgement.outcome is Outcome.INFRA:
        return judgement
    return blame_site(judgement, health)


def control_failed(judgement: Judgement) -> Judgement:
    """Return the judgement of a control case that did not pass: the site is at fault, or its scheduler.

    A known cause keeps its rule. Any other has the rule ``control-failed``.
    """
    cause = judgement.cause
    if cause.rule == "control-failed" or cause.evidence.startswith(_CONTROL):
        return judgement
    known = cause.rule not in OWN
    cls = cause.cls if known and cause.cls is CauseClass.SCHEDULER else CauseClass.SITE
    rule = cause.rule if known else "control-failed"
    changed = _judgement(Outcome.INFRA, cause.phase, cls, rule, f"{_CONTROL}{cause.evidence}")
    return replace(changed, diagnosis=judgement.diagnosis)


def blame_site(judgement: Judgement, health: Health) -> Judgement:
    """Turn a failure or error into ``infra`` if its scheduler is known not to work; otherwise return it unchanged."""
    if judgement.outcome not in (Outcome.FAIL, Outcome.ERROR) or judgement.cause.rule == "interrupted":
        return judgement
    if judgement.cause.cls is CauseClass.DISTRIBUTION and judgement.cause.rule not in OWN:
        return judgement  # a damaged library is one, whatever the scheduler does
    phase, case_evidence = judgement.cause.phase, f"; the case: {judgement.cause.evidence}"
    if health.unreachable:
        rule = "scheduler-unreachable"
        blamed = _judgement(Outcome.INFRA, phase, CauseClass.SCHEDULER, rule, health.unreachable + case_evidence)
        title, advice = OWN[rule]
        finding = Diagnosis(
            title=title,
            cause_key=unknown_key(rule, health.unreachable),
            line=health.unreachable,
            advice=advice,
        )
        return blocked_by(replace(blamed, diagnosis=judgement.diagnosis), finding)
    if health.control is not None:
        cause = health.control.cause
        blamed = _judgement(Outcome.INFRA, phase, cause.cls, "control-failed", cause.evidence + case_evidence)
        if health.control.diagnosis is None:
            return blamed
        return blocked_by(replace(blamed, diagnosis=judgement.diagnosis), health.control.diagnosis)
    return judgement


def interrupted(evidence: str) -> Judgement:
    """Return the verdict of a planned case that was unfinished when its run was stopped."""
    return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.HARNESS, "interrupted", evidence)


def _judgement(outcome: Outcome, phase: Phase, cls: CauseClass, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=phase, cls=cls, rule=rule, evidence=evidence))


_INFRA = {
    "refused": (Phase.SUBMIT, "submit-refused", "submission was refused"),
    "unreachable": (Phase.QUEUE, "scheduler-unreachable", "the scheduler stopped answering"),
    "queue-wait": (Phase.QUEUE, "queue-wait", "the job did not start within the site's queue-wait limit"),
    "node_fail": (Phase.RUN, "node-failure", "the job lost a node"),
    "preempted": (Phase.RUN, "preempted", "the job was preempted"),
    "control-failed": (Phase.LAUNCH, "control-failed", "the control case of this scheduler failed"),
}


def _by_ending(result: AttemptResult) -> Judgement | None:
    if result.ending == "blocked":
        return blocked(of_result(result))
    if result.ending in _INFRA:
        phase, rule, default = _INFRA[result.ending]
        cls = CauseClass.SITE if rule in ("node-failure", "control-failed") else CauseClass.SCHEDULER
        return _judgement(Outcome.INFRA, phase, cls, rule, result.detail or default)
    if result.ending == "harness-error":
        return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.HARNESS, "harness-error", result.detail)
    if result.ending == "timeout":
        evidence = result.detail or "the payload was still running at its time limit and was killed"
        output, waiting = split_waiting(result.tail)
        line = telling_line(output)
        evidence += f"; it waited in {waiting}" if waiting else ""
        evidence += f"; {line}" if line else ""
        if overloaded(result):
            evidence = (
                f"the machine was overloaded: the case had no core for {result.starved:.0%} of its time; {evidence}"
            )
            return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.HARNESS, "machine-overloaded", evidence)
        return _judgement(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "time-limit", evidence)
    if result.ending == "vanished":
        return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-vanished", result.detail)
    if result.ending in ("job-ended", "job-cancelled"):
        return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-ended", result.detail)
    if result.ending == "unstarted":
        return _judgement(Outcome.FAIL, Phase.LAUNCH, CauseClass.DISTRIBUTION, "not-executable", result.detail)
    return None


def _by_exit(result: AttemptResult) -> Judgement | None:
    if result.ending != "exited" or (result.signal is None and not result.exit_code):
        return None
    if "OUT_OF_MEM" in (result.native_state or "").upper():
        evidence = f"the scheduler reported {result.native_state}"
        return _judgement(Outcome.INFRA, Phase.RUN, CauseClass.SITE, "out-of-memory", evidence)
    by_signal = SIGNALS.get(result.signal or 0)
    if by_signal is not None:
        evidence = f"the payload was killed by {signal.Signals(result.signal or 0).name}"
        line = telling_line(result.tail)
        evidence += f"; {line}" if line else ""
        return _judgement(by_signal.outcome, Phase.RUN, by_signal.cls, by_signal.rule, evidence)
    line = telling_line(result.tail)
    if result.signal is not None:
        try:
            name = signal.Signals(result.signal).name
        except ValueError:
            name = f"signal {result.signal}"
        evidence = f"the payload was killed by {name}" + (f"; {line}" if line else "")
        return _judgement(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "killed-by-signal", evidence)
    evidence = f"the payload exited with {result.exit_code}: {line or 'it printed no message'}"
    return _judgement(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "payload-failed", evidence)


def _unrecognised(result: AttemptResult) -> Judgement:
    if result.ending == "exited":
        rule = {0: "no-answer", 1: "garbled-answer"}.get(len(result.answers), "several-answers")
        evidence = result.detail or "the payload's answer could not be used"
        return _judgement(Outcome.ERROR, Phase.COLLECT, CauseClass.HARNESS, rule, evidence)
    return _judgement(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "unclassified", f"{result.ending}: {result.detail}")
