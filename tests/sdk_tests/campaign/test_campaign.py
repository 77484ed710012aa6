"""A short robustness campaign on every scheduler of this machine; ``benchmarks/campaign.py`` makes the long ones."""

from __future__ import annotations

import pytest

from benchmarks.campaign import KINDS, Figures, campaign
from tests.needs import need

pytestmark = pytest.mark.long

SEED = 7
NEEDED = {"slurm": ("slurm", "munge"), "flux": ("flux",), "pbs": ("openpbs",)}


def defects(figures: list[Figures]) -> list[str]:
    return [line for one in figures for line in one.findings]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_mutated_answers_leaves_nothing_and_loses_nothing(kind: str) -> None:
    for name in NEEDED.get(kind, ()):
        need(name)
    figures = campaign("answers", [kind], 40, SEED, runs=2)
    assert figures[0].mutations > 0
    assert defects(figures) == []


@pytest.mark.parametrize("kind", ["local", "slurm"])
def test_a_run_with_killed_processes_leaves_nothing_and_is_completed_by_resuming_it(kind: str) -> None:
    for name in NEEDED.get(kind, ()):
        need(name)
    figures = campaign("kills", [kind], 8, SEED, runs=4)
    assert figures[0].mutations > 0
    assert defects(figures) == []
