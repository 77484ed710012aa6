"""The gaps in the matrix of a report: the reason for each cell without cases, and what does not exist at all."""

from __future__ import annotations

import string
from dataclasses import dataclass

from sdk_tests.integration.pairs import NOT_THERE, NotThere, why_not
from sdk_tests.report.view import View


@dataclass(frozen=True)
class Gaps:
    """The gaps. ``cells``: the letters of ``reasons`` by component and scheduler, for cells that never have a case."""

    reasons: dict[str, str]
    cells: dict[tuple[str, str], list[str]]
    unavailable: list[NotThere]


def gaps(run: View) -> Gaps:
    """Return the gaps that this version of the harness knows for the components of a run."""
    kinds = _kinds(run)
    lettered: dict[str, str] = {}
    cells: dict[tuple[str, str], list[str]] = {}
    for row in run.rows():
        for name in run.schedulers():
            reasons = [] if run.cell(row, name) else why_not(row, kinds[name])
            for reason in reasons:
                letter = lettered.setdefault(reason, string.ascii_lowercase[len(lettered)])
                cells.setdefault((row, name), []).append(letter)
    planned = {line.planned.component for line in run.lines}
    unavailable = [
        each for each in NOT_THERE if each.components[0] in planned and each.scheduler in ("", *kinds.values())
    ]
    return Gaps({letter: reason for reason, letter in lettered.items()}, cells, unavailable)


def _kinds(run: View) -> dict[str, str]:
    """Return the kind of each scheduler: from its records, else the last part of its name."""
    kinds = {name: name.rpartition("+")[2] for name in run.schedulers()}
    for line in run.lines:
        scheduler = line.record.scheduler if line.record else None
        software = scheduler and (scheduler.nested or scheduler.outer)
        if software:
            kinds[line.planned.scheduler] = software.name
    return kinds
