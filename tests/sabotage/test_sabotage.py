"""One thing is broken at a time, on real parts; the harness must name the cause: outcome, fault, evidence, advice."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.needs import need
from tests.sabotage.breakage import FAMILIES, Breakage, Shown, score
from tests.sabotage.families import BREAKAGES, QUICK
from tests.sabotage.run import run


@pytest.mark.parametrize(
    "breakage",
    [pytest.param(each, id=each.id, marks=() if each.id in QUICK else pytest.mark.long) for each in BREAKAGES],
)
def test_a_breakage_is_reported_with_its_cause(breakage: Breakage) -> None:
    deployment = need("components", "namespaces", *breakage.needs)
    with tempfile.TemporaryDirectory(prefix="sab-", dir="/var/tmp") as folder:  # one of the breakages fills /tmp
        result = run(breakage, deployment, Path(folder))
        output = Path(folder, "output").read_text(encoding="utf-8")[-4000:]
    assert not result.false_green, f"{breakage.broken}: {result.shown}\n{output}"
    assert result.right, f"{breakage.broken}: {result}\n{output}"


def test_every_family_has_at_least_five_breakages_and_a_third_run_in_continuous_integration() -> None:
    assert len({each.id for each in BREAKAGES}) == len(BREAKAGES) >= 60
    families = Counter(each.family for each in BREAKAGES)
    assert families.keys() == FAMILIES.keys()
    assert min(families.values()) >= 5
    assert {each.id for each in BREAKAGES} >= QUICK
    assert len(QUICK) >= len(BREAKAGES) // 3


BROKEN = Breakage("x", "node", "x", "", "a/b", "infra|fail", "site", evidence="full", advice="room")


@pytest.mark.parametrize(
    ("shown", "right", "false_green"),
    [
        (Shown("a/b@local", "infra", "site", "r", "the disk is full", "make room"), True, False),
        (Shown("a/b@local", "fail", "site", "r", "the disk is full", "make ROOM"), True, False),
        (Shown("a/b@local", "pass"), False, True),
        (Shown("a/b@local", "skip", "site", "r", "the disk is full", "make room"), False, True),
        (Shown("a/b@local", "error", "site", "r", "the disk is full", "make room"), False, False),
        (Shown("a/b@local", "infra", "component", "r", "the disk is full", "make room"), False, False),
        (Shown("a/b@local", "infra", "site", "r", "AssertionError:", "make room"), False, False),
        (Shown("a/b@local", "infra", "site", "r", "the disk is full", ""), False, False),
    ],
)
def test_a_report_is_right_only_if_all_of_it_is(shown: Shown, right: bool, false_green: bool) -> None:
    result = score(BROKEN, shown)
    assert (result.right, result.false_green) == (right, false_green)
