"""Derive the verdict of a test item from pytest's reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Outcome, Phase
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.metrics import NotComparable, OutOfReference


def verdict(
    reports: Mapping[str, pytest.TestReport],
    exceptions: Mapping[str, type[BaseException]],
    judgement: Judgement | None,
) -> Judgement | None:
    """Return the verdict of a test item; None means that it passed.

    reports: pytest's report of each phase. exceptions: the type of the exception that each phase raised. judgement: the
    verdict, if it was known before the test function ran.
    """
    expected = _expected_failure(reports)
    if judgement is not None:
        if judgement.outcome is Outcome.FAIL and expected is not None:
            return _known_failure(expected, judgement.cause.evidence)
        return judgement
    teardown = reports.get("teardown")
    call = reports.get("call")
    setup = reports.get("setup")
    if setup is not None and setup.failed:
        return _judge_error("setup", setup)
    if expected is not None:
        if call is not None and call.passed:
            evidence = f"passed although listed as known to fail: {expected}"
            return _judgement(Outcome.XPASS, CauseClass.COMPONENT, "unexpected-pass", evidence)
        return _known_failure(expected, _message(call or setup))
    skipped = next((report for report in (setup, call) if report is not None and report.skipped), None)
    if skipped is not None:
        return _judgement(Outcome.SKIP, CauseClass.HARNESS, "skipped-by-case", _message(skipped))
    if call is None:
        evidence = "pytest did not run the case's test function"
        return _judgement(Outcome.ERROR, CauseClass.HARNESS, "not-judged", evidence)
    if call.failed:
        kind = exceptions.get("call")
        if kind is not None and issubclass(kind, (OutOfReference, NotComparable)):
            _, _, evidence = _message(call).partition(": ")  # without the name of the exception
            return _judgement(Outcome.FAIL, kind.cls, kind.rule, evidence)
        if kind is not None and issubclass(kind, (AssertionError, pytest.fail.Exception)):
            return _judgement(Outcome.FAIL, CauseClass.COMPONENT, "assertion", _message(call))
        return _judge_error("call", call)
    if teardown is not None and teardown.failed:
        return _judge_error("teardown", teardown)
    return None


def synthetic_report(item: pytest.Item, judgement: Judgement) -> pytest.TestReport:
    """Return a report for an item that pytest's run-test protocol never ran."""
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=f"[{judgement.cause.cls.value}/{judgement.cause.rule}] {judgement.cause.evidence}",
        when="setup",
    )


def _judgement(outcome: Outcome, cls: CauseClass, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=Phase.JUDGE, cls=cls, rule=rule, evidence=evidence))


def _judge_error(phase: str, report: pytest.TestReport) -> Judgement:
    return _judgement(
        Outcome.ERROR, CauseClass.HARNESS, "judge-raised", f"{phase} of the case's test function: {_message(report)}"
    )


def _known_failure(reason: str, evidence: str) -> Judgement:
    return _judgement(Outcome.XFAIL, CauseClass.COMPONENT, "known-failure", f"{reason}; {evidence}")


def _expected_failure(reports: Mapping[str, pytest.TestReport]) -> str | None:
    for report in reports.values():
        reason = getattr(report, "wasxfail", None)
        if reason is not None:
            return str(reason) or "expected to fail"
    return None


def _message(report: Any) -> str:
    """Return one line: the message of the failed assertion with the values compared, or the reason of a skip.

    An assertion's report begins with its own message, if it has one, and continues with ``assert LEFT == RIGHT``, in
    which pytest shows the values.
    """
    longrepr = getattr(report, "longrepr", None)
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(longrepr or "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no message"
    first, rest = lines[0], lines[1:]
    compared = next((line for line in rest if line.startswith("assert ")), "")
    if first.endswith(":") and rest:  # an exception's name alone: its message begins with an empty line
        first = f"{first} {rest[0]}"
    return (f"{first[:300]}; {compared}" if compared and compared not in first else first)[:500]
