"""The site file ``local/workstation``, which is used on any machine that no other file recognises."""

from __future__ import annotations

import pytest

from site_configs.load import PACKAGED, find, load_text
from site_configs.schema import LocalUse, seconds


def test_a_workstation_runs_local_cases_on_all_its_cores_and_starts_its_own_collector() -> None:
    system = find("local/workstation")
    assert system.local.allowed
    assert system.local.core_limit(12) == 12
    assert system.schedulers == []
    assert system.deployment == "release"
    assert system.collector.embedded
    assert system.limits.infra_retries == 0
    assert system.stale_after is not None
    assert system.cadence is not None
    assert seconds(system.stale_after) > seconds(system.cadence)


def test_a_workstation_is_only_a_fallback_and_never_matched() -> None:
    detect = find("local/workstation").detect
    assert not detect.hosts
    assert not detect.environment


@pytest.mark.parametrize(("cores", "available", "bound"), [(0, 8, 8), (2, 8, 2), (16, 8, 8), (0, 0, 1), (2, 1, 1)])
def test_local_cores_are_limited_by_the_file_and_by_the_machine(cores: int, available: int, bound: int) -> None:
    assert LocalUse(allowed=True, cores=cores).core_limit(available) == bound


def test_the_examples_in_its_comments_load() -> None:
    """Load the two examples without their comment signs, as a reader would copy them."""
    lines = (PACKAGED / "local/workstation.yaml").read_text().splitlines()
    shown = [line[4:] for line in lines if line.startswith("#   ")]
    system = load_text("system: lab/copy\ndescription: copied\n" + "\n".join(shown), "copied")
    assert system.detect.hosts
    assert system.schedulers[0].account_env == "MY_SITE_ACCOUNT"


@pytest.mark.parametrize("text", ["30", "1:30", "00:60:00", "00:00:60", "a:b:c", "", "-1:00:00"])
def test_seconds_refuses_text_that_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|above 59"):
        seconds(text)


def test_seconds_accepts_more_than_24_hours() -> None:
    assert seconds("48:00:01") == 172801
