"""From pytest's reports of one item to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.metrics import NotComparable, OutOfReference


def verdict(
    reports: Mapping[str, pytest.TestReport],
    raised: Mapping[str, type[BaseException]],
    judgement: Judgement | None,
) -> Judgement | None:
    """Return what an item came to; None is a pass. ``preset`` is what was known before the test function ran."""
    expected = _wasxfail(reports)
    if judgement is not None:
        if judgement.outcome is Outcome.FAIL and expected is not None:
            return _known(expected, judgement.cause.evidence)
        return judgement
    teardown = reports.get("teardown")
    call = reports.get("call")
    setup = reports.get("setup")
    if setup is not None and setup.failed:
        return _judge_raised("setup", setup)
    if expected is not None:
        if call is not None and call.passed:
            evidence = f"passed although listed as known to fail: {expected}"
            return _made(Outcome.XPASS, CauseClass.COMPONENT, "unexpected-pass", evidence)
        return _known(expected, _said(call or setup))
    skipped = next((report for report in (setup, call) if report is not None and report.skipped), None)
    if skipped is not None:
        return _made(Outcome.SKIP, CauseClass.HARNESS, "skipped-by-case", _said(skipped))
    if call is None:
        return _made(Outcome.ERROR, CauseClass.HARNESS, "not-judged", "pytest did not run the case's test function")
    if call.failed:
        kind = raised.get("call")
        if kind is not None and issubclass(kind, (OutOfReference, NotComparable)):
            return _made(Outcome.FAIL, kind.cls, kind.rule, _said(call).partition(": ")[2])  # after its own name
        if kind is not None and issubclass(kind, (AssertionError, pytest.fail.Exception)):
            return _made(Outcome.FAIL, CauseClass.COMPONENT, "assertion", _said(call))
        return _judge_raised("call", call)
    if teardown is not None and teardown.failed:
        return _judge_raised("teardown", teardown)
    return None


def synthetic_report(item: pytest.Item, judgement: Judgement) -> pytest.TestReport:
    """Make the report of an item that never went through pytest's protocol."""
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=f"[{judgement.cause.cls.value}/{judgement.cause.rule}] {judgement.cause.evidence}",
        when="setup",
    )


def _made(outcome: Outcome, cls: CauseClass, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=Phase.JUDGE, cls=cls, rule=rule, evidence=evidence))


def _judge_raised(phase: str, report: pytest.TestReport) -> Judgement:
    return _made(
        Outcome.ERROR, CauseClass.HARNESS, "judge-raised", f"{phase} of the case's test function: {_said(report)}"
    )


def _known(reason: str, evidence: str) -> Judgement:
    return _made(Outcome.XFAIL, CauseClass.COMPONENT, "known-failure", f"{reason}; {evidence}")


def _wasxfail(reports: Mapping[str, pytest.TestReport]) -> str | None:
    for report in reports.values():
        reason = getattr(report, "wasxfail", None)
        if reason is not None:
            return str(reason) or "expected to fail"
    return None


def _said(report: Any) -> str:
    """One line that says what was wrong: the message of the failed assertion, or the reason of a skip."""
    longrepr = getattr(report, "longrepr", None)
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(longrepr or "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:500] if lines else "no message"
