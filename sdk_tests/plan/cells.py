"""The plan: every cell of case by scheduler, named, with the reason beside each that cannot run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dashboard_client.schema import CONTROL, Cause, CauseClass, Outcome, Phase, PlannedCase, Selection, Tier
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan.preparation import Preparation
from site_configs.schema import System

TIERS = (Tier.SMOKE, Tier.INTEGRATION, Tier.SCALE)


@dataclass(frozen=True)
class Cell:
    """One planned case. ``preset`` is its verdict where that is known before anything runs."""

    case: Case
    scheduler: str
    case_id: str
    judgement: Judgement | None = None
    waiver: str | None = None

    @property
    def control(self) -> bool:
        return self.case.component == CONTROL

    def planned(self) -> PlannedCase:
        """As the manifest names it."""
        return PlannedCase(
            case_id=self.case_id,
            component=self.case.component,
            partners=list(self.case.partners),
            scheduler=self.scheduler,
            tier=self.case.tier,
        )


def cells(cases: Iterable[Case], preparation: Preparation) -> list[Cell]:
    """Spread cases over the schedulers they are meant for, those that should be here but are not among them."""
    spread = []
    for case in cases:
        for scheduler in [*preparation.schedulers, *preparation.absent]:
            ready = preparation.schedulers.get(scheduler)
            names = {scheduler, ready.kind.kind if ready else scheduler.rpartition("+")[2]}
            if any(fnmatchcase(name, pattern) for name in names for pattern in case.schedulers):
                if case.gpus and not _has_gpus(case, scheduler, preparation.system):
                    continue
                case_id = case.case_id(scheduler)
                judgement = _preset(case, scheduler, preparation)
                spread.append(Cell(case, scheduler, case_id, judgement, _waiver(case_id, preparation)))
    return spread


def selected(cell: Cell, selection: Selection) -> bool:
    """Whether the selection takes a cell in. A control comes with its scheduler, to place faults."""
    if selection.schedulers and cell.scheduler not in selection.schedulers:
        return False
    if cell.control:
        return True
    if selection.cases and not any(_fits(cell.case_id, pattern) for pattern in selection.cases):
        return False
    names = {cell.case.component, *cell.case.partners}
    if selection.components and not names.intersection(selection.components):
        return False
    if selection.nodes is not None and cell.case.nodes > selection.nodes:
        return False
    return TIERS.index(cell.case.tier) <= TIERS.index(selection.tier)


def pruned(chosen: Sequence[Cell]) -> list[Cell]:
    """Drop the controls of schedulers on which nothing else was selected, unless nothing but controls was."""
    needed = {cell.scheduler for cell in chosen if not cell.control}
    return [cell for cell in chosen if not needed or cell.scheduler in needed]


def unmet(spread: Sequence[Cell], selection: Selection) -> list[str]:
    """Say why of each pattern and each component asked for that takes nothing in: a control alone proves nothing."""
    asked = [
        (f"--case {pattern!r}", [cell for cell in spread if _fits(cell.case_id, pattern)])
        for pattern in selection.cases
    ]
    for name in selection.components:
        of_it = [cell for cell in spread if name in (cell.case.component, *cell.case.partners)]
        asked.append((f"--component {name}", of_it))
    return [
        f"{what} {_why_not(fitting, selection)}"
        for what, fitting in asked
        if not any(selected(cell, selection) for cell in fitting)
    ]


def _why_not(fitting: Sequence[Cell], selection: Selection) -> str:
    if not fitting:
        return "fits no case on this system"
    here = [cell for cell in fitting if not selection.schedulers or cell.scheduler in selection.schedulers]
    if not here:
        return f"fits no case on {', '.join(selection.schedulers)}"
    lowest = min(TIERS.index(cell.case.tier) for cell in here)
    if lowest > TIERS.index(selection.tier):
        return f"fits only cases beyond tier {selection.tier.value}; say --tier {TIERS[lowest].value}"
    return "fits no case that the rest of the selection takes in"


def _has_gpus(case: Case, scheduler: str, system: System) -> bool:
    """Whether the nodes that a scheduler leads to have the GPUs: ``local`` leads to a login node, if there are such."""
    return system.node.gpus >= case.gpus and not (scheduler == "local" and system.schedulers)


def _fits(case_id: str, pattern: str) -> bool:
    return fnmatchcase(case_id, pattern) or fnmatchcase(case_id.partition("@")[0], pattern)


def _waiver(case_id: str, preparation: Preparation) -> str | None:
    for waiver in preparation.system.waivers:
        if _fits(case_id, waiver.cases):
            return f"{waiver.reason} (waived until {waiver.expires})"
    return None


def _preset(case: Case, scheduler: str, preparation: Preparation) -> Judgement | None:
    """Decide what can be decided from the probe alone."""
    if scheduler in preparation.absent:
        return _skip("scheduler-absent", CauseClass.SITE, preparation.absent[scheduler])
    for component in (case.component, *case.partners):
        if component == CONTROL:
            continue
        broken = _component(component, preparation)
        if broken:
            return broken
    for component, meant in case.versions.items():
        seen = preparation.contents.components.get(component)
        if seen is not None and not fnmatchcase(seen.version or "", meant):
            reason = f"meant for {component} {meant}; it is {seen.version} in deployment {preparation.deployment.name}"
            return _skip("other-version", CauseClass.DISTRIBUTION, reason)
    ready = preparation.schedulers[scheduler]
    if ready.inside and case.where != "allocation":
        return _skip("inside-allocation", CauseClass.SITE, f"the harness itself runs inside a job of {scheduler}")
    unable = preparation.deployment.unable("allocation" if ready.outer else case.where, ready.kind.batch)
    if unable:
        return _skip("outside-image", CauseClass.DISTRIBUTION, unable)
    if case.nodes > 1:
        there = len(ready.kind.granted() if ready.inside else ready.probe.nodes) if ready.kind.batch else 1
        if there and case.nodes > there:
            return _skip("too-few-nodes", CauseClass.SITE, f"needs {case.nodes} nodes, {scheduler} has {there}")
    if ready.kind.batch and ready.outer is None and case.jobs > ready.kind.spec.max_jobs:
        allowed = ready.kind.spec.max_jobs
        return _skip("too-many-jobs", CauseClass.SITE, f"needs {case.jobs} jobs at once, {scheduler} allows {allowed}")
    return None


def _component(name: str, preparation: Preparation) -> Judgement | None:
    found, promises = preparation.contents, preparation.deployment.promises
    whose = (
        f"release {preparation.release.name}" if preparation.release else f"site file of {preparation.system.system}"
    )
    seen = found.components.get(name)
    if seen is None:
        reason = found.absent.get(name, f"the harness does not know a component called {name}")
        if name in promises:
            return _fail(
                "promised-absent", f"{reason}, although {whose} promises {name} {promises[name] or ''}".rstrip()
            )
        return _skip("not-deployed", CauseClass.DISTRIBUTION, reason)
    wanted = promises.get(name)
    if wanted is not None and seen.version != wanted:
        return _fail("version-mismatch", f"{name} is {seen.version} in {seen.location}, {whose} pins {wanted}")
    return None


def _skip(rule: str, cls: CauseClass, evidence: str) -> Judgement:
    return Judgement(Outcome.SKIP, Cause(phase=Phase.PLAN, cls=cls, rule=rule, evidence=evidence))


def _fail(rule: str, evidence: str) -> Judgement:
    return Judgement(Outcome.FAIL, Cause(phase=Phase.PROBE, cls=CauseClass.DISTRIBUTION, rule=rule, evidence=evidence))
