"""The rules of the classification, without running any process."""

from __future__ import annotations

import pytest

from dashboard_client.schema import Outcome
from sdk_tests.judging.classification import Health, blame_site, classify, usable
from sdk_tests.model.attempt import AttemptResult

UNREACHABLE = Health(unreachable="scontrol ping: exit 1: Slurmctld is DOWN")


def result(ending: str = "exited", **rest: object) -> AttemptResult:
    return AttemptResult(case_id="a/b@slurm", attempt=1, ending=ending, **rest)  # type: ignore[arg-type]


CONTROL_FAILED = Health(control=classify(result("timeout"), Health(), control=True))


def verdict(given: AttemptResult, health: Health = Health(), *, control: bool = False) -> tuple[str, str, str]:  # noqa: B008
    judgement = classify(given, health, control)
    return judgement.outcome.value, judgement.cause.cls.value, judgement.cause.rule


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (result("refused", detail="no"), ("infra", "scheduler", "submit-refused")),
        (result("queue-wait"), ("infra", "scheduler", "queue-wait")),
        (result("node_fail"), ("infra", "site", "node-failure")),
        (result("preempted"), ("infra", "scheduler", "preempted")),
        (result("unreachable", detail="gone"), ("infra", "scheduler", "scheduler-unreachable")),
        (result("vanished", detail="?"), ("error", "unknown", "job-vanished")),
        (result("job-ended", detail="?"), ("error", "unknown", "job-ended")),
        (
            result("job-cancelled", tail="ImportError: x\nbroker.err[0]: rc2.0: aborted"),
            ("error", "unknown", "job-ended"),
        ),
        (result("unstarted", detail="?"), ("fail", "distribution", "not-executable")),
        (result("timeout"), ("fail", "component", "time-limit")),
        (result("cancelled"), ("error", "harness", "interrupted")),
        (result("unknown ending"), ("error", "unknown", "unclassified")),
        (result(exit_code=0, detail="no JSON"), ("error", "harness", "no-answer")),
        (result(exit_code=None, signal=64), ("fail", "component", "killed-by-signal")),
        (result(exit_code=2, tail="x\nImportError: libmpi.so\n"), ("fail", "distribution", "import-failed")),
        (result(exit_code=2, tail="OSError: No space left on device"), ("infra", "site", "disk-full")),
        (result(exit_code=2), ("fail", "component", "payload-failed")),
    ],
)
def test_each_ending_has_a_rule(given: AttemptResult, expected: tuple[str, str, str]) -> None:
    assert verdict(given) == expected


@pytest.mark.parametrize("ending", ["refused", "timeout", "vanished", "exited"])
def test_a_control_case_that_does_not_pass_is_the_sites_fault_however_it_ended(ending: str) -> None:
    assert verdict(result(ending, exit_code=1), control=True) == ("infra", "site", "control-failed")


@pytest.mark.parametrize("health", [UNREACHABLE, CONTROL_FAILED])
@pytest.mark.parametrize("ending", ["timeout", "vanished", "job-ended", "job-cancelled", "exited"])
def test_with_evidence_against_the_site_the_component_is_not_blamed(health: Health, ending: str) -> None:
    outcome, cls, _ = verdict(result(ending, exit_code=1, tail="ValueError: x"), health)
    assert outcome == "infra"
    assert cls in ("site", "scheduler")
    judgement = classify(result(ending, exit_code=1, tail="ValueError: x"), health, control=False)
    assert "the case:" in judgement.cause.evidence


def test_a_stop_by_the_user_is_an_interruption_even_if_the_scheduler_is_unreachable() -> None:
    assert verdict(result("cancelled"), UNREACHABLE) == ("error", "harness", "interrupted")


def test_a_skip_is_never_changed_to_infra() -> None:
    skip = classify(result("timeout"), Health(), control=False)
    skipped = type(skip)(Outcome.SKIP, skip.cause)
    assert blame_site(skipped, UNREACHABLE) is skipped


@pytest.mark.parametrize(
    ("given", "answers", "expected"),
    [
        (result(exit_code=0, answers=({},)), True, True),
        (result(exit_code=0), True, False),
        (result(exit_code=0), False, True),
        (result(exit_code=0, answers=({}, {})), True, False),
        (result(exit_code=0, answers=({},), detail="and more"), True, False),
        (result(exit_code=1, answers=({},)), True, False),
        (result("timeout", answers=({},)), True, False),
    ],
)
def test_only_an_exit_with_0_and_one_answer_is_judged(given: AttemptResult, answers: bool, expected: bool) -> None:
    assert usable(given, answers) is expected
