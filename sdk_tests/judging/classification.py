"""Whose fault it is: the rules from how an attempt ended to an outcome and its cause, first match first.

``infra`` needs positive evidence against the site or its scheduler; what no rule recognises is ``error``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.model.attempt import AttemptResult, Judgement


@dataclass(frozen=True)
class Health:
    """A scheduler: the evidence of its failed ``control`` case, and of its unanswered ping (``dead``)."""

    control: str | None = None
    dead: str | None = None


Rule = Callable[[AttemptResult], "Judgement | None"]


def usable(result: AttemptResult, answers: bool) -> bool:
    """Whether there is something to judge: the payload ended by itself with 0, and answered as it should."""
    if result.ending != "exited" or result.exit_code != 0:
        return False
    return not answers or (len(result.answers) == 1 and not result.detail)


def classify(result: AttemptResult, health: Health, control: bool) -> Judgement:
    """Return outcome and cause of an attempt that gave nothing to judge."""
    if result.ending == "cancelled":
        return interrupted(result.detail or "the run was stopped while this case ran")
    own = _by_ending(result) or _by_exit(result) or _unrecognised(result)
    if control:
        evidence = f"the control case itself failed: {own.cause.evidence}"
        return _made(Outcome.INFRA, own.cause.phase, CauseClass.SITE, "control-failed", evidence)
    if own.outcome is Outcome.INFRA:
        return own
    return blame_site(own, health)


def blame_site(own: Judgement, health: Health) -> Judgement:
    """Turn a non-pass into ``infra`` where its scheduler is shown not to work; otherwise leave it as it is."""
    if own.outcome not in (Outcome.FAIL, Outcome.ERROR) or own.cause.rule == "interrupted":
        return own
    said = f"; the case: {own.cause.evidence}"
    if health.dead:
        evidence = health.dead + said
        return _made(Outcome.INFRA, own.cause.phase, CauseClass.SCHEDULER, "scheduler-unreachable", evidence)
    if health.control:
        return _made(Outcome.INFRA, own.cause.phase, CauseClass.SITE, "control-failed", health.control + said)
    return own


def interrupted(evidence: str) -> Judgement:
    """The verdict of a planned case that a stopped run still owes."""
    return _made(Outcome.ERROR, Phase.RUN, CauseClass.HARNESS, "interrupted", evidence)


def _made(outcome: Outcome, phase: Phase, cls: CauseClass, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=phase, cls=cls, rule=rule, evidence=evidence))


_INFRA = {
    "refused": (Phase.SUBMIT, "submit-refused", "submission was refused"),
    "unreachable": (Phase.QUEUE, "scheduler-unreachable", "the scheduler stopped answering"),
    "queue-wait": (Phase.QUEUE, "queue-wait", "the job did not start within the site's queue-wait limit"),
    "node_fail": (Phase.RUN, "node-failure", "the job lost a node"),
    "preempted": (Phase.RUN, "preempted", "the job was preempted"),
}


def _by_ending(result: AttemptResult) -> Judgement | None:
    if result.ending in _INFRA:
        phase, rule, default = _INFRA[result.ending]
        cls = CauseClass.SITE if rule == "node-failure" else CauseClass.SCHEDULER
        return _made(Outcome.INFRA, phase, cls, rule, result.detail or default)
    if result.ending == "timeout":
        evidence = result.detail or "the payload was still running at its time limit and was killed"
        last = _last_line(result.tail)
        return _made(
            Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "time-limit", evidence + (f"; {last}" if last else "")
        )
    if result.ending == "vanished":
        return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-vanished", result.detail)
    if result.ending == "job-ended":
        return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-ended", result.detail)
    if result.ending == "unstarted":
        return _made(Outcome.FAIL, Phase.LAUNCH, CauseClass.DISTRIBUTION, "not-executable", result.detail)
    return None


_IMPORT = re.compile(
    r"^(?:ModuleNotFoundError|ImportError|pkg_resources\.\w+|importlib\.metadata\.\w+): .*", re.MULTILINE
)
_SPACE = re.compile(r"^.*(?:No space left on device|Disk quota exceeded).*", re.MULTILINE)


def _by_exit(result: AttemptResult) -> Judgement | None:
    if result.ending != "exited":
        return None
    if result.signal is not None:
        try:
            name = signal.Signals(result.signal).name
        except ValueError:
            name = f"signal {result.signal}"
        return _made(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "killed-by-signal", f"the payload died of {name}")
    if result.exit_code:
        space = _SPACE.search(result.tail)
        if space:
            return _made(Outcome.INFRA, Phase.RUN, CauseClass.SITE, "disk-full", space.group().strip())
        missing = _IMPORT.search(result.tail)
        if missing:
            return _made(Outcome.FAIL, Phase.RUN, CauseClass.DISTRIBUTION, "import-failed", missing.group().strip())
        said = _last_line(result.tail) or "it said nothing"
        evidence = f"the payload exited with {result.exit_code}: {said}"
        return _made(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "payload-failed", evidence)
    return None


def _unrecognised(result: AttemptResult) -> Judgement:
    if result.ending == "exited":
        rule = {0: "no-answer", 1: "garbled-answer"}.get(len(result.answers), "several-answers")
        evidence = result.detail or "the payload's answer could not be used"
        return _made(Outcome.ERROR, Phase.COLLECT, CauseClass.HARNESS, rule, evidence)
    return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "unclassified", f"{result.ending}: {result.detail}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
