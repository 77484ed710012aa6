"""Which cases of a run share a fixture: those that declare an equal one and would use it in the same place."""

from __future__ import annotations

from collections.abc import Iterable

from sdk_tests.errors import CaseError
from sdk_tests.model.fixture import Fixture
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation


def shared_fixtures(cells: Iterable[Cell], preparation: Preparation) -> dict[str, str]:
    """Return the name of the fixture that each case shares, by case id; a case that would be the only one has none.

    A container is not shared: each case has its own there.

    Raises:
        CaseError: two different fixtures have the same name.
    """
    groups: dict[str, list[str]] = {}
    known: dict[str, Fixture] = {}
    for cell in cells:
        fixture = cell.case.fixture
        if fixture is None or not _can_share(cell, preparation):
            continue
        if known.setdefault(fixture.name, fixture) != fixture:
            raise CaseError(
                f"case {cell.case_id}: the fixture {fixture.name} is declared differently in another case; "
                "use one value of Fixture for both, or give them different names"
            )
        groups.setdefault(_name(cell, fixture), []).append(cell.case_id)
    return {case_id: name for name, case_ids in groups.items() if len(case_ids) > 1 for case_id in case_ids}


def _name(cell: Cell, fixture: Fixture) -> str:
    """Return ``fixture NAME`` with the rest of the ids of its cases: scheduler, nodes, deployment."""
    nodes = f"/{cell.case.nodes}n" if cell.case.nodes > 1 else ""
    return f"fixture {fixture.name}@{cell.scheduler.partition('@')[0]}{nodes}" + (
        f"/in:{cell.label}" if cell.label else ""
    )


def _can_share(cell: Cell, preparation: Preparation) -> bool:
    """Return whether cases run as plain processes on one node, so that one can run in the process of another."""
    scheduler = preparation.schedulers[cell.scheduler]
    command = ["program"]
    contained = preparation.target(cell.label).deployment.wrap(command) != command
    return not contained and not (scheduler.inside and scheduler.enter)
