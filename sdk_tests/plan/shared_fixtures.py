"""Which cases of a run share a fixture: those that declare an equal one and would use it in the same place."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard_client.schema import in_deployment
from sdk_tests.model.fixture import Fixture
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.target import shared


def shared_fixtures(cells: Iterable[Cell], preparation: Preparation) -> dict[str, str]:
    """Return the name of the fixture that each case shares, by case id; a case that would be the only one has none.

    A container is not shared: each case has its own there.
    """
    groups: dict[str, list[str]] = {}
    known: dict[str, list[Fixture]] = {}
    for cell in cells:
        fixture = cell.case.fixture
        if fixture is None or not _can_share(cell, preparation):
            continue
        equals = known.setdefault(fixture.name, [])
        if fixture not in equals:
            equals.append(fixture)
        groups.setdefault(_name(cell, fixture.name, equals.index(fixture)), []).append(cell.case_id)
    return {case_id: name for name, case_ids in groups.items() if len(case_ids) > 1 for case_id in case_ids}


def _name(cell: Cell, name: str, number: int) -> str:
    """Return ``fixture NAME`` with the rest of the ids of its cases: scheduler, nodes, deployment.

    number: distinguishes different fixtures of one name.
    """
    variant = f":{number + 1}" if number else ""
    nodes = f"/{cell.case.nodes}n" if cell.case.nodes > 1 else ""
    return in_deployment(f"fixture {name}{variant}@{shared(cell.scheduler)}{nodes}", cell.label)


def _can_share(cell: Cell, preparation: Preparation) -> bool:
    """Return whether a case can run in the process of a fixture.

    Cases must be plain processes on one node, and the queue must admit a job that lasts as long as the fixture.
    """
    scheduler = preparation.schedulers[cell.scheduler]
    command = ["program"]
    contained = preparation.target(cell.label).deployment.wrap(command) != command
    if contained or (scheduler.inside and scheduler.enter):
        return False
    assert cell.case.fixture is not None
    if cell.case.where != "login" or not cell.case.fixture.jobs or not scheduler.kind.batch:
        return True
    wanted = cell.case.fixture.walltime * preparation.slowdown
    queue = scheduler.kind.view(cell.case.nodes)["queue_name"]
    return scheduler.kind.walltime(queue, cell.case.nodes, wanted) >= wanted
