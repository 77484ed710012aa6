"""Whose fault it is: the rules from how an attempt ended to an outcome and its cause, first match first.

``infra`` needs positive evidence against the site or its scheduler; what no rule recognises is ``error``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.landing import Landing, Preset


@dataclass(frozen=True)
class Health:
    """A scheduler: the evidence of its failed ``control`` case, and of its unanswered ping (``dead``)."""

    control: str | None = None
    dead: str | None = None


Rule = Callable[[Landing], "Preset | None"]


def usable(landing: Landing, answers: bool) -> bool:
    """Whether there is something to judge: the payload ended by itself with 0, and answered as it should."""
    if landing.ending != "exited" or landing.exit_code != 0:
        return False
    return not answers or (len(landing.answers) == 1 and not landing.detail)


def classify(landing: Landing, health: Health, control: bool) -> Preset:
    """Return outcome and cause of an attempt that gave nothing to judge."""
    if landing.ending == "cancelled":
        return interrupted(landing.detail or "the run was stopped while this case ran")
    own = _by_ending(landing) or _by_exit(landing) or _unrecognised(landing)
    if control:
        evidence = f"the control case itself failed: {own.cause.evidence}"
        return _made(Outcome.INFRA, own.cause.phase, CauseClass.SITE, "control-failed", evidence)
    if own.outcome is Outcome.INFRA:
        return own
    return blame_site(own, health)


def blame_site(own: Preset, health: Health) -> Preset:
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


def interrupted(evidence: str) -> Preset:
    """The verdict of a planned case that a stopped run still owes."""
    return _made(Outcome.ERROR, Phase.RUN, CauseClass.HARNESS, "interrupted", evidence)


def _made(outcome: Outcome, phase: Phase, cls: CauseClass, rule: str, evidence: str) -> Preset:
    return Preset(outcome, Cause(phase=phase, cls=cls, rule=rule, evidence=evidence))


_INFRA = {
    "refused": (Phase.SUBMIT, "submit-refused", "submission was refused"),
    "unreachable": (Phase.QUEUE, "scheduler-unreachable", "the scheduler stopped answering"),
    "queue-wait": (Phase.QUEUE, "queue-wait", "the job did not start within the site's queue-wait limit"),
    "node_fail": (Phase.RUN, "node-failure", "the job lost a node"),
    "preempted": (Phase.RUN, "preempted", "the job was preempted"),
}


def _by_ending(landing: Landing) -> Preset | None:
    if landing.ending in _INFRA:
        phase, rule, default = _INFRA[landing.ending]
        cls = CauseClass.SITE if rule == "node-failure" else CauseClass.SCHEDULER
        return _made(Outcome.INFRA, phase, cls, rule, landing.detail or default)
    if landing.ending == "timeout":
        evidence = landing.detail or "the payload was still running at its time limit and was killed"
        last = _last_line(landing.tail)
        return _made(
            Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "time-limit", evidence + (f"; {last}" if last else "")
        )
    if landing.ending == "vanished":
        return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-vanished", landing.detail)
    if landing.ending == "job-ended":
        return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "job-ended", landing.detail)
    if landing.ending == "unstarted":
        return _made(Outcome.FAIL, Phase.LAUNCH, CauseClass.DISTRIBUTION, "not-executable", landing.detail)
    return None


_IMPORT = re.compile(
    r"^(?:ModuleNotFoundError|ImportError|pkg_resources\.\w+|importlib\.metadata\.\w+): .*", re.MULTILINE
)
_SPACE = re.compile(r"^.*(?:No space left on device|Disk quota exceeded).*", re.MULTILINE)


def _by_exit(landing: Landing) -> Preset | None:
    if landing.ending != "exited":
        return None
    if landing.signal is not None:
        try:
            name = signal.Signals(landing.signal).name
        except ValueError:
            name = f"signal {landing.signal}"
        return _made(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "killed-by-signal", f"the payload died of {name}")
    if landing.exit_code:
        space = _SPACE.search(landing.tail)
        if space:
            return _made(Outcome.INFRA, Phase.RUN, CauseClass.SITE, "disk-full", space.group().strip())
        missing = _IMPORT.search(landing.tail)
        if missing:
            return _made(Outcome.FAIL, Phase.RUN, CauseClass.DISTRIBUTION, "import-failed", missing.group().strip())
        said = _last_line(landing.tail) or "it said nothing"
        evidence = f"the payload exited with {landing.exit_code}: {said}"
        return _made(Outcome.FAIL, Phase.RUN, CauseClass.COMPONENT, "payload-failed", evidence)
    return None


def _unrecognised(landing: Landing) -> Preset:
    if landing.ending == "exited":
        rule = {0: "no-answer", 1: "garbled-answer"}.get(len(landing.answers), "several-answers")
        evidence = landing.detail or "the payload's answer could not be used"
        return _made(Outcome.ERROR, Phase.COLLECT, CauseClass.HARNESS, rule, evidence)
    return _made(Outcome.ERROR, Phase.RUN, CauseClass.UNKNOWN, "unclassified", f"{landing.ending}: {landing.detail}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
