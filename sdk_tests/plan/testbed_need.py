"""Which testbeds of a site file the selected cases need; the others are not started."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from sdk_tests.model.case import Case
from sdk_tests.plan.cells import Cell, selected, without_idle_controls
from sdk_tests.plan.options import Options
from site_configs.schema import System

NOT_NEEDED = "not started, because no selected case needs it"
"""The reason why the scheduler of such a testbed is absent."""


def needed_testbeds(system: System, options: Options) -> set[str]:
    """Return the testbeds of a system that a selected case needs; all of them, if the cases are not known yet."""
    if options.declared is None:
        return set(system.testbeds)
    # A nested scheduler is started inside one that the site file lists, never in a testbed.
    names: dict[str, tuple[str, ...]] = {"local": ("local",)} if system.local.allowed else {}
    names |= {spec.label: (spec.label, spec.kind) for spec in system.schedulers if not spec.nested}
    names |= {name: (name, name.partition("-")[0]) for name in system.testbeds}
    chosen = [cell for cell in _cells(options.declared, names) if selected(cell, options.selection)]
    used = {cell.scheduler for cell in without_idle_controls(chosen, options.selection)}
    return used.intersection(system.testbeds)


def _cells(cases: Iterable[Case], names: dict[str, tuple[str, ...]]) -> list[Cell]:
    return [
        Cell(case, scheduler, case.case_id(scheduler))
        for case in cases
        for scheduler, own in names.items()
        if any(fnmatchcase(name, pattern) for name in own for pattern in case.schedulers)
    ]
