"""What ``exaworks validate --list`` prints: the plan, then what is not in it because there is no such thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dashboard_client.schema import Selection
from sdk_tests.integration.pairs import NOT_THERE, UNPLANNED
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation

NOT_PLANNED, DOES_NOT_EXIST = "not planned", "does not exist"
"""What stands as the verdict of a row that is no case of the plan."""


def rows(cells: Sequence[Cell], preparation: Preparation) -> list[dict[str, Any]]:
    """Return a row for each planned case, then for each that the selection asks for and that is not there."""
    kinds = {name: ready.kind.kind for name, ready in preparation.schedulers.items()}
    kinds |= {name: name.rpartition("+")[2] for name in preparation.absent}
    chosen = preparation.options.selection
    return [*map(_planned, cells), *_unplanned(chosen, kinds), *_not_there(chosen, kinds)]


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as people read them."""
    from tabulate import tabulate

    lines = [(*(row[key] for key in ("case", "tier", "where", "nodes")), _told(row)) for row in found]
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


def _unplanned(chosen: Selection, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the families that have no case on a scheduler of this system, as docs/matrix.md has them."""
    for each in UNPLANNED:
        for family in each.families:
            for name, kind in kinds.items():
                if kind in each.schedulers and _asked(chosen, family, name):
                    yield _row(f"{family}/*@{name}", NOT_PLANNED, each.why)


def _not_there(chosen: Selection, kinds: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield what does not exist and is asked for; what is about one kind of scheduler, where this system has that."""
    for each in NOT_THERE:
        family, _, name = each.case.partition("@")[0].partition("/")
        places = [label for label, kind in kinds.items() if each.scheduler in ("", kind)]
        if any(_asked(chosen, family, label, name) for label in places):
            yield _row(each.case, DOES_NOT_EXIST, f"{each.what}: {each.why}", each.reference)


def _asked(chosen: Selection, family: str, scheduler: str, name: str | None = None) -> bool:
    """Whether the selection takes in a family on a scheduler, or one thing of it by name."""
    if chosen.schedulers and scheduler not in chosen.schedulers:
        return False
    if chosen.components and not set(family.split("+")).intersection(chosen.components):
        return False
    return not chosen.cases or any(_fits(family, scheduler, name, pattern) for pattern in chosen.cases)


def _fits(family: str, scheduler: str, name: str | None, pattern: str) -> bool:
    """Hold a pattern of case ids against a family, or one thing of it; without a ``/`` it is for whole ids."""
    stem, slash, rest = pattern.partition("/")
    if not slash:
        return fnmatchcase(f"{family}/{name or ''}@{scheduler}", pattern)
    wanted, _, where = rest.partition("@")
    named = name is None or fnmatchcase(name, wanted)
    return fnmatchcase(family, stem) and named and fnmatchcase(scheduler, where or "*")


def _row(case: str, verdict: str | None, reason: str | None, reference: str | None = None, **of: Any) -> dict[str, Any]:
    told = {name: of.get(name) for name in ("tier", "where", "nodes", "jobs")}
    return {"case": case, **told, "verdict": verdict, "reason": reason, "reference": reference}


def _told(row: Mapping[str, Any]) -> str:
    if not row["verdict"]:
        return "run"
    return f"{row['verdict']}: {row['reason']}" + (f" ({row['reference']})" if row["reference"] else "")
