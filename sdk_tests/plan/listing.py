"""The output of ``exaworks validate --list``: the plan, then the combinations that are not planned, with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dashboard_client.schema import Selection
from sdk_tests.integration.pairs import NOT_THERE, UNPLANNED
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.target import shared

NOT_PLANNED, DOES_NOT_EXIST = "not planned", "does not exist"
"""The verdicts of rows that are not cases of the plan."""


def rows(cells: Sequence[Cell], preparation: Preparation) -> list[dict[str, Any]]:
    """Return a row for each planned case, then for each selected combination that is not planned or does not exist."""
    kinds = {shared(name): scheduler.kind.kind for name, scheduler in preparation.schedulers.items()}
    kinds |= {shared(name): shared(name).rpartition("+")[2] for name in preparation.absent}
    selection = preparation.options.selection
    return [*map(_planned, cells), *_unplanned(selection, kinds), *_not_there(selection, kinds)]


def table(listed: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a table for people."""
    from tabulate import tabulate

    lines = [(*(row[key] for key in ("case", "tier", "where", "nodes")), _what_happens(row)) for row in listed]
    return tabulate(lines, headers=("case", "tier", "where", "nodes", "what happens"))


def _planned(cell: Cell) -> dict[str, Any]:
    return _row(
        cell.case_id,
        cell.judgement.outcome.value if cell.judgement else None,
        cell.judgement.cause.evidence if cell.judgement else None,
        tier=cell.case.tier.value,
        where=cell.case.where,
        nodes=cell.case.nodes,
        jobs=cell.case.jobs,
    )


def _unplanned(selection: Selection, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the families without a case on a scheduler of this system, with the reasons of docs/matrix.md."""
    for each in UNPLANNED:
        for family in each.families:
            for name, kind in kinds.items():
                if kind in each.schedulers and _is_selected(selection, family, name):
                    yield _row(f"{family}/*@{name}", NOT_PLANNED, each.why)


def _not_there(selection: Selection, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the selected combinations that do not exist, as far as they concern a kind of scheduler of this system."""
    for each in NOT_THERE:
        family, _, name = each.case.partition("@")[0].partition("/")
        schedulers = [label for label, kind in kinds.items() if each.scheduler in ("", kind)]
        if any(_is_selected(selection, family, label, name) for label in schedulers):
            yield _row(each.case, DOES_NOT_EXIST, f"{each.what}: {each.why}", each.reference)


def _is_selected(selection: Selection, family: str, scheduler: str, name: str | None = None) -> bool:
    """Return whether the selection includes a family on a scheduler, or one case of the family by name."""
    if selection.schedulers and scheduler not in selection.schedulers:
        return False
    if selection.components and not set(family.split("+")).intersection(selection.components):
        return False
    return not selection.cases or any(_matches(family, scheduler, name, pattern) for pattern in selection.cases)


def _matches(family: str, scheduler: str, name: str | None, pattern: str) -> bool:
    """Match a pattern of case ids against a family, or one case of it; a pattern without ``/`` is for whole ids."""
    stem, slash, rest = pattern.partition("/")
    if not slash:
        return fnmatchcase(f"{family}/{name or ''}@{scheduler}", pattern)
    name_pattern, _, scheduler_pattern = rest.partition("@")
    name_matches = name is None or fnmatchcase(name, name_pattern)
    return fnmatchcase(family, stem) and name_matches and fnmatchcase(scheduler, scheduler_pattern or "*")


def _row(
    case: str, verdict: str | None, reason: str | None, reference: str | None = None, **case_columns: Any
) -> dict[str, Any]:
    columns = {name: case_columns.get(name) for name in ("tier", "where", "nodes", "jobs")}
    return {"case": case, **columns, "verdict": verdict, "reason": reason, "reference": reference}


def _what_happens(row: Mapping[str, Any]) -> str:
    if not row["verdict"]:
        return "run"
    return f"{row['verdict']}: {row['reason']}" + (f" ({row['reference']})" if row["reference"] else "")
