"""What the matrix of a report has no cases for: why a cell is empty by design, and what does not exist at all."""

from __future__ import annotations

import string
from dataclasses import dataclass

from sdk_tests.integration.pairs import NOT_THERE, NotThere, why_not
from sdk_tests.report.view import View


@dataclass(frozen=True)
class Gaps:
    """``cells`` maps a component and a scheduler to the letters of ``reasons``, for cells that no run has."""

    reasons: dict[str, str]
    cells: dict[tuple[str, str], list[str]]
    not_there: list[NotThere]


def gaps(run: View) -> Gaps:
    """Say of a run's components what this version of the harness knows not to be there."""
    kinds = _kinds(run)
    lettered: dict[str, str] = {}
    cells: dict[tuple[str, str], list[str]] = {}
    for row in run.rows():
        for name in run.schedulers():
            reasons = [] if run.cell(row, name) else why_not(row, kinds[name])
            for why in reasons:
                letter = lettered.setdefault(why, string.ascii_lowercase[len(lettered)])
                cells.setdefault((row, name), []).append(letter)
    planned = {line.planned.component for line in run.lines}
    lacking = [each for each in NOT_THERE if each.components[0] in planned and each.scheduler in ("", *kinds.values())]
    return Gaps({letter: why for why, letter in lettered.items()}, cells, lacking)


def _kinds(run: View) -> dict[str, str]:
    """Return the kind of each scheduler: as its records say, else the last part of its name."""
    kinds = {name: name.rpartition("+")[2] for name in run.schedulers()}
    for line in run.lines:
        scheduler = line.record.scheduler if line.record else None
        software = scheduler and (scheduler.nested or scheduler.outer)
        if software:
            kinds[line.planned.scheduler] = software.name
    return kinds
