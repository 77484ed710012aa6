"""The input of a plan: the system, its schedulers, the deployments and their contents."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from dashboard_client.schema import Selection
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.needs import TRIED
from sdk_tests.plan.options import Options
from sdk_tests.plan.preflight import start
from sdk_tests.plan.target import Target
from site_configs.schema import System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release

Echo = Callable[[str], None]
"""Prints one line of progress for the user."""


@dataclass
class Preparation:
    """The result of ``prepare``; ``close`` stops the testbeds that were started for this run.

    absent: the schedulers that should exist and cannot be used, each with the reason. environ: the environment of the
    harness's own commands and payloads. outer: the environment outside any testbed. testbeds: ids, in start order.
    slowdown: the factor by which time limits grow for work on this machine. prepared: when the preparation ended, in
    seconds since the epoch.
    """

    options: Options
    places: Places
    system: System
    schedulers: dict[str, AvailableScheduler]
    absent: dict[str, str]
    targets: list[Target]
    components: dict[str, ComponentKind]
    environ: dict[str, str]
    outer: dict[str, str]
    testbeds: list[str] = field(default_factory=list)
    slowdown: float = 1.0
    prepared: float = field(default_factory=time.time)

    @property
    def release(self) -> Release | None:
        """The release that the run tests: the first that a deployment is made of."""
        return next((target.release for target in self.targets if target.release is not None), None)

    def target(self, label: str) -> Target:
        """Return the deployment with this label."""
        return next(target for target in self.targets if target.label == label)

    def start_preflight(self) -> None:
        """Start every component that is present and may be selected, beside what the harness does next."""
        selection = self.options.selection
        for target in self.targets:
            chosen = [
                kind
                for name, kind in self.components.items()
                if name in target.contents.components and _may_be_selected(name, selection)
            ]
            notes = target.contents.notes
            local = any(not scheduler.kind.batch for scheduler in self.schedulers.values())
            launchers = {name: path for name, path in target.contents.programs.items() if local and name in TRIED}
            target.preflight = start(target.deployment, chosen, self.system.network.interface, notes, launchers)

    def close(self) -> None:
        from sdk_tests.testbeds.manage import down

        for target in self.targets:
            if target.preflight is not None:
                target.preflight.close()
        while self.testbeds:
            down(self.places.home, self.testbeds.pop())


def _may_be_selected(component: str, selection: Selection) -> bool:
    """Return whether a selection may include cases of a component."""
    families = [pattern.partition("/")[0].split("+") if "/" in pattern else ["*"] for pattern in selection.cases]
    by_case = not families or any(fnmatchcase(component, name) for family in families for name in family)
    return by_case and (not selection.components or component in selection.components)
