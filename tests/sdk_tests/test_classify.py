"""The rules of blame that need no process to be tried."""

from __future__ import annotations

import pytest

from dashboard_client.schema import Outcome
from sdk_tests.classify import Health, blame_site, classify, usable
from sdk_tests.landing import Landing

DEAD = Health(dead="scontrol ping: exit 1: Slurmctld is DOWN")
FAILED = Health(control="the control case itself failed")


def landing(ending: str = "exited", **rest: object) -> Landing:
    return Landing(case_id="a/b@slurm", attempt=1, ending=ending, **rest)  # type: ignore[arg-type]


def verdict(given: Landing, health: Health = Health(), *, control: bool = False) -> tuple[str, str, str]:  # noqa: B008
    preset = classify(given, health, control)
    return preset.outcome.value, preset.cause.cls.value, preset.cause.rule


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (landing("refused", detail="no"), ("infra", "scheduler", "submit-refused")),
        (landing("queue-wait"), ("infra", "scheduler", "queue-wait")),
        (landing("node_fail"), ("infra", "site", "node-failure")),
        (landing("preempted"), ("infra", "scheduler", "preempted")),
        (landing("unreachable", detail="gone"), ("infra", "scheduler", "scheduler-unreachable")),
        (landing("vanished", detail="?"), ("error", "unknown", "job-vanished")),
        (landing("job-ended", detail="?"), ("error", "unknown", "job-ended")),
        (landing("unstarted", detail="?"), ("fail", "distribution", "not-executable")),
        (landing("timeout"), ("fail", "component", "time-limit")),
        (landing("cancelled"), ("error", "harness", "interrupted")),
        (landing("never heard of"), ("error", "unknown", "unclassified")),
        (landing(exit_code=0, detail="no JSON"), ("error", "harness", "no-answer")),
        (landing(exit_code=None, signal=64), ("fail", "component", "killed-by-signal")),
        (landing(exit_code=2, tail="x\nImportError: libmpi.so\n"), ("fail", "distribution", "import-failed")),
        (landing(exit_code=2, tail="OSError: No space left on device"), ("infra", "site", "disk-full")),
        (landing(exit_code=2), ("fail", "component", "payload-failed")),
    ],
)
def test_each_ending_has_its_rule(given: Landing, expected: tuple[str, str, str]) -> None:
    assert verdict(given) == expected


@pytest.mark.parametrize("ending", ["refused", "timeout", "vanished", "exited"])
def test_a_control_that_does_not_pass_is_the_sites_fault_however_it_ended(ending: str) -> None:
    assert verdict(landing(ending, exit_code=1), control=True) == ("infra", "site", "control-failed")


@pytest.mark.parametrize("health", [DEAD, FAILED])
@pytest.mark.parametrize("ending", ["timeout", "vanished", "job-ended", "exited"])
def test_evidence_against_the_site_comes_before_blaming_the_component(health: Health, ending: str) -> None:
    outcome, cls, _ = verdict(landing(ending, exit_code=1, tail="ValueError: x"), health)
    assert outcome == "infra"
    assert cls in ("site", "scheduler")
    preset = classify(landing(ending, exit_code=1, tail="ValueError: x"), health, control=False)
    assert "the case:" in preset.cause.evidence


def test_a_stop_by_the_user_is_nobodys_fault_even_where_the_scheduler_is_dead() -> None:
    assert verdict(landing("cancelled"), DEAD) == ("error", "harness", "interrupted")


def test_a_skip_is_never_turned_into_infra() -> None:
    skip = classify(landing("timeout"), Health(), control=False)
    skipped = type(skip)(Outcome.SKIP, skip.cause)
    assert blame_site(skipped, DEAD) is skipped


@pytest.mark.parametrize(
    ("given", "answers", "expected"),
    [
        (landing(exit_code=0, answers=({},)), True, True),
        (landing(exit_code=0), True, False),
        (landing(exit_code=0), False, True),
        (landing(exit_code=0, answers=({}, {})), True, False),
        (landing(exit_code=0, answers=({},), detail="and more"), True, False),
        (landing(exit_code=1, answers=({},)), True, False),
        (landing("timeout", answers=({},)), True, False),
    ],
)
def test_only_a_clean_exit_with_one_answer_is_judged(given: Landing, answers: bool, expected: bool) -> None:
    assert usable(given, answers) is expected
