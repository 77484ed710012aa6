"""The plan: every cell (a case on one scheduler in one deployment), with the reason for each cell that cannot run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

from dashboard_client.schema import (
    CONTROL,
    Cause,
    CauseClass,
    Outcome,
    Phase,
    PlannedCase,
    Selection,
    Tier,
    case_matches,
    in_deployment,
)
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.needs import judgement_of_needs
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.target import Target, owner, shared
from site_configs.schema import System

TIERS = (Tier.SMOKE, Tier.INTEGRATION, Tier.SCALE)


@dataclass(frozen=True)
class Cell:
    """One case on one scheduler in one deployment. judgement: its verdict, if that is known before anything runs.

    scheduler: its key in the preparation, which for a nested scheduler names the deployment too. label: of the
    deployment.
    """

    case: Case
    scheduler: str
    case_id: str
    judgement: Judgement | None = None
    waiver: str | None = None
    label: str = ""

    @property
    def control(self) -> bool:
        return self.case.component == CONTROL

    def planned(self) -> PlannedCase:
        """Return the cell as the manifest lists it."""
        return PlannedCase(
            case_id=self.case_id,
            component=self.case.component,
            partners=list(self.case.partners),
            scheduler=shared(self.scheduler),
            tier=self.case.tier,
        )


def cells(cases: Iterable[Case], preparation: Preparation) -> list[Cell]:
    """Return the cells of each case: one for each deployment and scheduler it is meant for, also absent ones."""
    planned = []
    for case, target in product(cases, preparation.targets):
        for scheduler in [*preparation.schedulers, *preparation.absent]:
            if not _is_for(case, target, scheduler, preparation):
                continue
            available = preparation.schedulers.get(scheduler)
            name = shared(scheduler)
            names = {name, available.kind.kind if available else name.rpartition("+")[2]}
            if any(fnmatchcase(name, pattern) for name in names for pattern in case.schedulers):
                if case.gpus and not _has_gpus(case, scheduler, preparation.system):
                    continue
                labelled = case.component != CONTROL or _is_nested(scheduler)
                case_id = in_deployment(case.case_id(name), target.label if labelled else "")
                judgement = _judgement_by_plan(case, scheduler, preparation, target)
                planned.append(Cell(case, scheduler, case_id, judgement, _waiver(case_id, preparation), target.label))
    return planned


def _is_for(case: Case, target: Target, scheduler: str, preparation: Preparation) -> bool:
    """Return whether a case of a deployment can be on a scheduler.

    A nested scheduler belongs to one deployment. The control case of any other one proves the same for all of them.
    """
    if _is_nested(scheduler):
        return owner(scheduler) == target.label
    return case.component != CONTROL or target is preparation.targets[0]


def _is_nested(scheduler: str) -> bool:
    return "+" in scheduler


def selected(cell: Cell, selection: Selection) -> bool:
    """Return whether the selection includes a cell. A control case is included with its scheduler, as evidence."""
    if selection.schedulers and shared(cell.scheduler) not in selection.schedulers:
        return False
    if cell.control:
        return True
    if selection.cases and not any(_matches(cell.case_id, pattern) for pattern in selection.cases):
        return False
    names = {cell.case.component, *cell.case.partners}
    if selection.components and not names.intersection(selection.components):
        return False
    if selection.nodes is not None and cell.case.nodes > selection.nodes:
        return False
    return TIERS.index(cell.case.tier) <= TIERS.index(selection.tier)


def without_idle_controls(chosen: Sequence[Cell], selection: Selection) -> list[Cell]:
    """Drop the control case of each scheduler without another selected case.

    If only control cases are selected, keep those that a pattern of the selection matches, or all without a pattern.
    """
    needed = {cell.scheduler for cell in chosen if not cell.control}
    if needed:
        return [cell for cell in chosen if cell.scheduler in needed]
    patterns = selection.cases
    return [cell for cell in chosen if not patterns or any(_matches(cell.case_id, pattern) for pattern in patterns)]


def unmatched(all_cells: Sequence[Cell], selection: Selection) -> list[str]:
    """Return a message for each requested pattern or component that selects no cell; a control alone proves nothing."""
    requested = [
        (f"--case {pattern!r}", [cell for cell in all_cells if _matches(cell.case_id, pattern)])
        for pattern in selection.cases
    ]
    for name in selection.components:
        of_component = [cell for cell in all_cells if name in (cell.case.component, *cell.case.partners)]
        requested.append((f"--component {name}", of_component))
    return [
        f"{option} {_why_unmatched(matches, selection)}"
        for option, matches in requested
        if not any(selected(cell, selection) for cell in matches)
    ]


def _why_unmatched(matches: Sequence[Cell], selection: Selection) -> str:
    if not matches:
        return "matches no case on this system"
    chosen = selection.schedulers
    on_scheduler = [cell for cell in matches if not chosen or shared(cell.scheduler) in chosen]
    if not on_scheduler:
        return f"matches no case on {', '.join(selection.schedulers)}"
    lowest = min(TIERS.index(cell.case.tier) for cell in on_scheduler)
    if lowest > TIERS.index(selection.tier):
        return f"matches only cases that tier {selection.tier.value} does not include; use --tier {TIERS[lowest].value}"
    return "matches no case that the other options select"


def _has_gpus(case: Case, scheduler: str, system: System) -> bool:
    """Return whether the nodes have the GPUs. With a scheduler, ``local`` is a login node, which counts as without."""
    return system.node.gpus >= case.gpus and not (scheduler == "local" and system.schedulers)


def _matches(case_id: str, pattern: str) -> bool:
    return case_matches(case_id, pattern) or fnmatchcase(case_id.partition("@")[0], pattern)


def _waiver(case_id: str, preparation: Preparation) -> str | None:
    for waiver in preparation.system.waivers:
        if _matches(case_id, waiver.cases):
            return f"{waiver.reason} (waived until {waiver.expires})"
    return None


def _judgement_by_plan(case: Case, scheduler: str, preparation: Preparation, target: Target) -> Judgement | None:
    """Return the verdict that follows from the probe and the site file alone; None if the cell has to run."""
    if scheduler in preparation.absent:
        return _skip("scheduler-absent", CauseClass.SITE, preparation.absent[scheduler])
    for component in (case.component, *case.partners):
        if component == CONTROL:
            continue
        judgement = _judgement_of_component(component, preparation, target)
        if judgement:
            return judgement
    for component, needed in case.versions.items():
        deployed = target.contents.components.get(component)
        if deployed is not None and not fnmatchcase(deployed.version or "", needed):
            reason = (
                f"needs {component} {needed}; deployment {target.deployment.name} has {component} {deployed.version}"
            )
            return _skip("other-version", CauseClass.DISTRIBUTION, reason)
    available = preparation.schedulers[scheduler]
    if available.inside and case.where != "allocation":
        reason = f"the harness itself runs inside a job of {scheduler}; this case runs only from a login node"
        return _skip("inside-allocation", CauseClass.SITE, reason)
    for component in (case.component, *case.partners):
        lacking = available.kind.unable(component) if case.where == "login" else None
        if lacking:
            return _skip("other-dialect", CauseClass.COMPONENT, lacking)
    unable = target.deployment.unable("allocation" if available.outer else case.where, available.kind.batch)
    if unable:
        return _skip("outside-image", CauseClass.DISTRIBUTION, unable)
    nodes = _node_count(available) if case.nodes > 1 else 0
    if nodes and case.nodes > nodes:
        return _skip("too-few-nodes", CauseClass.SITE, f"needs {case.nodes} nodes; {shared(scheduler)} has {nodes}")
    if available.kind.batch and available.outer is None and case.jobs > available.kind.spec.max_jobs:
        allowed = available.kind.spec.max_jobs
        return _skip("too-many-jobs", CauseClass.SITE, f"needs {case.jobs} jobs at once; {scheduler} allows {allowed}")
    return judgement_of_needs(case, shared(scheduler), available, target.contents, target.deployment.name)


def _node_count(scheduler: AvailableScheduler) -> int:
    """Return the number of nodes that cases can use; 0 if it is unknown."""
    if not scheduler.kind.batch:
        return 1
    return len(scheduler.kind.allocation_nodes() if scheduler.inside else scheduler.probe.nodes)


def _judgement_of_component(name: str, preparation: Preparation, target: Target) -> Judgement | None:
    contents, promises = target.contents, target.deployment.promises
    source = f"release {target.release.name}" if target.release else f"site file of {preparation.system.system}"
    deployed = contents.components.get(name)
    if deployed is None:
        reason = contents.absent.get(name, f"the harness knows no component called {name}")
        if name in promises:
            return _fail(
                "promised-absent", f"{reason}, although {source} promises {name} {promises[name] or ''}".rstrip()
            )
        return _skip("not-deployed", CauseClass.DISTRIBUTION, reason)
    pinned = promises.get(name)
    if pinned is not None and deployed.version != pinned:
        evidence = f"{name} in {deployed.location} has version {deployed.version}, but {source} pins {pinned}"
        return _fail("version-mismatch", evidence)
    return None


def _skip(rule: str, cls: CauseClass, evidence: str) -> Judgement:
    return Judgement(Outcome.SKIP, Cause(phase=Phase.PLAN, cls=cls, rule=rule, evidence=evidence))


def _fail(rule: str, evidence: str) -> Judgement:
    return Judgement(Outcome.FAIL, Cause(phase=Phase.PROBE, cls=CauseClass.DISTRIBUTION, rule=rule, evidence=evidence))
