"""From a preflight that did not end well to the verdict of every case that it blocks."""

from __future__ import annotations

import signal
from collections.abc import Iterable

import msgspec

from dashboard_client.schema import Cause, CauseClass, Diagnosis, Outcome, Phase
from sdk_tests.diagnosis import Text, Where, diagnosis_of, find_cause
from sdk_tests.diagnosis.diagnose import LONGEST, cause_of
from sdk_tests.diagnosis.matching import best_line
from sdk_tests.diagnosis.rule import unknown_key
from sdk_tests.diagnosis.rules import OWN, SIGNALS
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.model.output import telling_line
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.needs import TRIED
from sdk_tests.plan.preflight import PreflightFailure
from sdk_tests.plan.target import shared


def components_of(cell: Cell) -> tuple[str, ...]:
    """Return the components that must start before a case; none for a control case, which no preflight blocks."""
    return () if cell.control else (cell.case.component, *cell.case.partners)


def runs_here(cell: Cell, scheduler: AvailableScheduler) -> bool:
    """Return whether the payload of a cell runs on this machine, so that the preflight of this machine is about it."""
    if not scheduler.kind.batch or scheduler.outermost.testbed is not None:
        return True
    if scheduler.inside:
        return not scheduler.enter
    return cell.case.where == "login" and scheduler.outer is None


def blocked(failure: PreflightFailure) -> Judgement:
    """Return the verdict of a case that was not started, because its preflight failed."""
    where = f"the preflight of {failure.component or 'the node'}"
    texts = [Text(Where.OUTPUT, where, failure.text, failure.component)]
    what = f"{failure.component} does not start in the deployment" if failure.component else "no case can run here"
    match = find_cause(texts) if failure.signal is None else None
    if match is not None:
        cause, diagnosis, outcome = cause_of(match), diagnosis_of(match), match.rule.verdict
        line = match.line
        if not failure.component and match.rule.cls is not CauseClass.SITE:  # a program of the node, as bash
            cause, outcome = msgspec.structs.replace(cause, cls=CauseClass.SITE), Outcome.INFRA
    elif not failure.component:
        rule, cls, outcome, line = "node-condition", CauseClass.SITE, Outcome.INFRA, telling_line(failure.text)
        cause, diagnosis = _own(rule, cls, line, [line])
    else:
        launcher, found = failure.component in TRIED, best_line(texts)
        rule = "launcher-does-not-start" if launcher else "does-not-start"
        outcome = Outcome.INFRA if launcher else Outcome.FAIL
        line = found[0] if found else telling_line(failure.text) or f"exit {failure.exit_code}"
        late = "the preflight did not end within" in failure.text
        cls = CauseClass.SITE if launcher else CauseClass.UNKNOWN if late else CauseClass.DISTRIBUTION
        if failure.signal is not None:
            cls = SIGNALS[failure.signal].cls if failure.signal in SIGNALS else cls
            line = f"killed by {signal.Signals(failure.signal).name}" + (f"; {line}" if failure.text.strip() else "")
        cause, diagnosis = _own(rule, cls, line, [failure.component, line])
    evidence = f"{what}: {line}"[:LONGEST]
    return Judgement(
        outcome,
        msgspec.structs.replace(cause, phase=Phase.PROBE, evidence=evidence),
        msgspec.structs.replace(
            diagnosis,
            title=evidence,
            expected=f"{failure.component} starts" if failure.component else None,
            line=line,
            source=where,
            blocked_by=diagnosis.cause_key,
        ),
    )


def of_result(result: AttemptResult) -> PreflightFailure:
    """Return the failure because of which the agent of an allocation did not start a case."""
    return PreflightFailure(shared(result.detail), result.tail, result.exit_code, result.signal)


def _own(rule: str, cls: CauseClass, line: str, distinguishing: Iterable[str]) -> tuple[Cause, Diagnosis]:
    title, advice = OWN[rule]
    key = unknown_key(rule, " ".join(distinguishing))
    return Cause(phase=Phase.PROBE, cls=cls, rule=rule, evidence=line), Diagnosis(
        title=title, cause_key=key, advice=advice
    )
