"""From a preflight that did not end well to the verdict of every case that it blocks."""

from __future__ import annotations

import signal

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.judging.message_rules import SIGNALS, matches
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.model.output import telling_line
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preflight import PreflightFailure


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
    line = telling_line(failure.text)
    if not failure.component:
        rule, line = next(matches(failure.text), (None, line))
        evidence = f"no case can run on this node: {line}"
        name = rule.rule if rule else "node-condition"
        return Judgement(Outcome.INFRA, Cause(phase=Phase.PROBE, cls=CauseClass.SITE, rule=name, evidence=evidence))
    what = f"{failure.component} does not start in the deployment"
    if failure.signal is not None:
        by_signal = SIGNALS.get(failure.signal)
        cls = by_signal.cls if by_signal else CauseClass.DISTRIBUTION
        name = signal.Signals(failure.signal).name
        evidence = f"{what}: killed by {name}" + (f"; {line}" if line else "")
        return _judgement(Outcome.FAIL, cls, "does-not-start", evidence)
    rule, found = next(matches(failure.text), (None, line))
    if rule is not None:
        return _judgement(rule.outcome, rule.cls, rule.rule, f"{what}: {found}")
    hangs = "the preflight did not end within" in failure.text
    cls = CauseClass.UNKNOWN if hangs else CauseClass.DISTRIBUTION
    return _judgement(Outcome.FAIL, cls, "does-not-start", f"{what}: {line or f'exit {failure.exit_code}'}")


def of_result(result: AttemptResult) -> PreflightFailure:
    """Return the failure because of which the agent of an allocation did not start a case."""
    return PreflightFailure(result.detail, result.tail, result.exit_code, result.signal)


def _judgement(outcome: Outcome, cls: CauseClass, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=Phase.PROBE, cls=cls, rule=rule, evidence=evidence[:500]))
